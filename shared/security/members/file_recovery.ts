/**
 * The way back in for the owner of the machine who has lost every password: offline, on the folder of the process that
 * keeps the users. Whoever may write there could change the users anyway, so this gives nobody a right that they do not have.
 *
 * Invariants: no process uses the folder meanwhile; nothing but the one user changes, and its role if that does not
 * administer; what was done is in the audit log, or it was not done.
 *
 * @module
 */
import { KvError, messageOf } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { FileDocumentStore } from "../../platform/deno/file_document_store.ts";
import { securityFolderOf } from "../../platform/deno/folder_security.ts";
import { FolderLock } from "../../platform/deno/folder_lock.ts";
import { type Random, randomId } from "../../platform/random.ts";
import { PasswordHasher } from "../login/password.ts";
import {
  addUser,
  ADMIN_ROLE,
  changeUser,
  grantsOf,
  parseSecurityDocument,
  type SecurityDocument,
  setRole,
} from "../security_document.ts";
import { EVERY_DATABASE } from "../rights.ts";
import { AuditLog } from "../audit_log.ts";
import { AuditFile } from "./file_audit.ts";
import { ADMIN, type SecurityDeps } from "./file_security.ts";
import { pemFile } from "./pem_file.ts";

/** The role that is made if the role `admin` means something else by now. */
const RECOVERED_ROLE = "recovered-admin";

/** Where the users are kept. */
export interface KeptUsers {
  /** @returns undefined if there are none. @throws {KvError} `corrupt`, `storage_failed` */
  read(): Promise<SecurityDocument | undefined>;
  /** @throws {KvError} `storage_failed`; `bad_config` if they cannot be changed here */
  write(document: SecurityDocument): Promise<void>;
}

/** Those of a node that is a cluster by itself. */
function usersFile(data: string): KeptUsers {
  const store = new FileDocumentStore(`${securityFolderOf(data)}/users.json`);
  return {
    read: async () => {
      const kept = await store.read();
      return kept === undefined ? undefined : parseSecurityDocument(kept);
    },
    write: (document) => store.write(document),
  };
}

/**
 * Gives the user `admin` a new password and the right to administer; makes the user if it is gone.
 *
 * @param data the data folder of a coordinator, or of a node that is a cluster by itself
 * @param program for whoever else wants the folder
 * @param store where they are kept. Default: as a node that is a cluster by itself keeps them
 * @returns the file with the credentials, as `kv-client --credentials` takes them
 * @throws {KvError} `folder_in_use` while a process runs; `bad_config` if no users are kept there; `corrupt`,
 *   `storage_failed`
 */
export async function recoverAdmin(
  data: string,
  program: string,
  deps: SecurityDeps,
  store: KeptUsers = usersFile(data),
): Promise<string> {
  const folder = securityFolderOf(data);
  // Before the lock, which would make the folder.
  if (await store.read() === undefined) {
    throw new KvError(
      "bad_config",
      `there are no users in ${folder}: they are kept by the coordinator of a cluster, or by a node with --standalone; ` +
        "give the --data folder of that",
    );
  }
  const lock = await FolderLock.acquire(folder, program);
  try {
    const before = await store.read();
    if (before === undefined) {
      throw new KvError("corrupt", `there are no users in ${folder} any more`);
    }
    const password = new Secret(randomId(deps.random) + randomId(deps.random));
    const document = await recovered(before, password, deps.random);
    const credentialsFile = `${folder}/admin.json`;
    await writeCredentials(credentialsFile, {
      user: ADMIN,
      password: password.reveal(),
      ca: pemFile(document.authorities),
    });
    const file = new AuditFile(`${folder}/audit.log`, deps);
    new AuditLog(deps.clock, (line) => file.add(line))
      .note({ event: "recovered", name: ADMIN }, { user: undefined, from: "this machine" });
    file.flush();
    await store.write(document);
    return credentialsFile;
  } finally {
    lock.release();
  }
}

/** What the person at the terminal is told. */
export function recoveredLine(file: string): string {
  return `the user ${ADMIN} has a new password; its credentials, for kv-client --credentials, are in ${file}`;
}

async function recovered(
  before: SecurityDocument,
  password: Secret,
  random: Random,
): Promise<SecurityDocument> {
  const passwordHash = await new PasswordHasher().hash(password, random);
  const user = before.users.find(({ name }) => name === ADMIN);
  const administers = (document: SecurityDocument) =>
    grantsOf(document, ADMIN)?.some(({ right }) => right === "admin") === true;
  const grants = [{ database: EVERY_DATABASE, prefix: "", right: "admin" }] as const;
  const isAdminRole = ({ name, grants }: SecurityDocument["roles"][number]) =>
    name === ADMIN_ROLE && grants.some(({ right }) => right === "admin");
  // Others may have the role of that name, and must not become administrators by this.
  const role = before.roles.some(isAdminRole) ? ADMIN_ROLE : RECOVERED_ROLE;
  const withRole = role === ADMIN_ROLE || (user !== undefined && administers(before))
    ? before
    : setRole(before, { name: role, grants });
  if (user === undefined) return addUser(withRole, { name: ADMIN, passwordHash, roles: [role] });
  const roles = administers(before) ? user.roles : [role];
  return changeUser(withRole, ADMIN, { passwordHash, roles });
}

/** Replaces the file, since one of that name may have been given to others to read. */
async function writeCredentials(file: string, credentials: object): Promise<void> {
  const part = `${file}.new`;
  try {
    await Deno.writeTextFile(part, JSON.stringify(credentials, null, 2) + "\n", { mode: 0o600 });
    await Deno.chmod(part, 0o600);
    await Deno.rename(part, file);
  } catch (error) {
    throw new KvError("storage_failed", `${file} cannot be written: ${messageOf(error)}`);
  }
}
