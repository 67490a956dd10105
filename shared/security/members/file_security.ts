/**
 * The security of a process that is asked to change it (a coordinator, or a node that is a cluster by itself), in a
 * folder beside its data:
 *
 *     users.json   of a node that is a cluster by itself: users, roles, tokens, and the certificate authority (with its
 *                  key). Those of a cluster are in the document that its coordinators keep
 *     ca.crt       the authority's certificate, for clients
 *     admin.json   the first administrator's credentials, as `kv-client --credentials` takes them
 *     audit.log    who logged in, was refused, changed users: JSON lines; older ones in audit.log.1 and so on
 *
 * All are for the owner alone (0700, 0600).
 *
 * @module
 */
import { KvError, messageOf } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { Clock } from "../../platform/clock.ts";
import type { KeyedCertificate } from "../../platform/server_certificate.ts";
import { FileDocumentStore } from "../../platform/deno/file_document_store.ts";
import { FolderLock } from "../../platform/deno/folder_lock.ts";
import {
  markSecured,
  refuseNewSecurity,
  securityFolderOf,
} from "../../platform/deno/folder_security.ts";
import type { Logger } from "../../platform/logger.ts";
import { type Random, randomId } from "../../platform/random.ts";
import { AuditLog } from "../audit_log.ts";
import { fingerprintOfPem } from "../authority_fingerprint.ts";
import { CertificateAuthority, createAuthority, createRequest } from "../certificate_authority.ts";
import { PasswordHasher } from "../login/password.ts";
import { newSealKey } from "../map_seal.ts";
import {
  type JudgedDocument,
  newSecurityDocument,
  parseSecurityDocument,
  type SecurityDocument,
} from "../security_document.ts";
import { SecurityKeeper } from "../security_keeper.ts";
import { AuditFile } from "./file_audit.ts";
import { pemFile } from "./pem_file.ts";

/** The first user. */
export const ADMIN = "admin";

/** What is in the folder. */
export interface OpenedSecurity {
  readonly keeper: SecurityKeeper;
  readonly audit: AuditLog;
  /** The authorities' certificates, as a file for clients. */
  readonly authorityFile: string;
  /** The SHA-256 of the one that signs, hexadecimal. */
  readonly fingerprint: string;
  /** Where the first credentials are; undefined if there were users before. */
  readonly credentialsFile: string | undefined;
}

/** What it is given. */
export interface SecurityDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** @throws {KvError} `storage_failed` */
export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new KvError("storage_failed", `cannot make the folder ${folder}: ${messageOf(error)}`);
  }
}

/**
 * Opens the folder of a node that is a cluster by itself, or makes it with an administrator and an authority.
 *
 * @param data the data folder that it is for
 * @throws {KvError} `corrupt`, `storage_failed`; `bad_config` if it is gone although it was there
 */
export async function openSecurity(data: string, deps: SecurityDeps): Promise<OpenedSecurity> {
  const folder = securityFolderOf(data);
  const store = new FileDocumentStore(`${folder}/users.json`);
  const opened = await openSecurityFolder(data, {
    read: async () => {
      const kept = await store.read();
      return kept === undefined ? undefined : parseSecurityDocument(kept);
    },
    write: (document) => store.write(document),
    cluster: undefined,
  }, deps);
  const { document, hasher, audit } = opened;
  const keeper = keeperOf(document, store, { ...deps, hasher, audit });
  keeper.access.onChange(({ authorities }) => opened.writeAuthorities(authorities));
  return { ...opened, keeper };
}

/** Where the document is kept: all of it, or what a coordinator knows that has just joined. */
export interface SecurityDocumentStore<D extends JudgedDocument = SecurityDocument> {
  /** @throws {KvError} `corrupt`, `storage_failed` */
  read(): Promise<D | undefined>;
  /** A new one. @throws {KvError} `storage_failed` */
  write(document: SecurityDocument): Promise<void>;
  /** The id of the cluster that a new document is for; undefined for a node that is one by itself. */
  readonly cluster: string | undefined;
}

/** The folder without its keeper. */
export interface OpenedSecurityFolder<D extends JudgedDocument>
  extends Omit<OpenedSecurity, "keeper"> {
  readonly document: D | SecurityDocument;
  readonly hasher: PasswordHasher;
  writeAuthorities(authorities: readonly string[]): void;
}

/**
 * Locks the folder, and makes a first administrator and authority if there is no document yet.
 *
 * @throws {KvError} as {@linkcode openSecurity}
 */
export async function openSecurityFolder<D extends JudgedDocument>(
  data: string,
  store: SecurityDocumentStore<D>,
  deps: SecurityDeps,
): Promise<OpenedSecurityFolder<D>> {
  const folder = securityFolderOf(data);
  await makePrivateFolder(folder);
  // To the end of the process; a node in memory has no other lock.
  await FolderLock.acquire(folder, "a secured process");
  const hasher = new PasswordHasher();
  const kept = await store.read();
  if (kept === undefined) await refuseNewSecurity(data);
  const credentialsFile = kept === undefined ? `${folder}/admin.json` : undefined;
  let document: D | SecurityDocument | undefined = kept;
  if (document === undefined) {
    const first = document = await begin(`${folder}/admin.json`, hasher, deps, store.cluster);
    await store.write(first);
  }
  await markSecured(data);
  const authorityFile = `${folder}/ca.crt`;
  const writeAuthorities = (authorities: readonly string[]) =>
    Deno.writeTextFileSync(authorityFile, pemFile(authorities), { mode: 0o600 });
  writeAuthorities(document.authorities);
  return {
    document,
    hasher,
    audit: auditLogIn(folder, deps),
    authorityFile,
    writeAuthorities,
    fingerprint: fingerprintOfPem(document.authorities[0] ?? ""),
    credentialsFile,
  };
}

/**
 * The certificate of a server that has no other members, with a key that is in memory only.
 *
 * @param hosts by which clients reach it
 * @throws {KvError} `corrupt`, `unavailable` if the authority has ended
 */
export async function makeServerCertificate(
  { authorities: [certificate = ""], authorityKey }: SecurityDocument,
  hosts: readonly string[],
  nowMs: number,
): Promise<KeyedCertificate> {
  const key = new Secret(authorityKey);
  const authority = await CertificateAuthority.open({ certificate, key });
  const own = await createRequest();
  return { certificate: await authority.sign(own.request, hosts, nowMs), key: own.key };
}

/** The lines of a secured process, in its folder. */
export function auditLogIn(folder: string, deps: SecurityDeps): AuditLog {
  const file = new AuditFile(`${folder}/audit.log`, deps);
  // However the process ends, but for a signal that cannot be caught.
  globalThis.addEventListener("unload", () => file.flushQuietly());
  return new AuditLog(deps.clock, (line) => file.add(line), () => file.failure);
}

/** The credentials are in their file before anything else is there: who finds no document begins anew. */
async function begin(
  credentialsFile: string,
  hasher: PasswordHasher,
  { clock, random }: SecurityDeps,
  cluster: string | undefined,
): Promise<SecurityDocument> {
  const password = new Secret(randomId(random) + randomId(random));
  const authority = await createAuthority("kv", clock.wallMs());
  const credentials = { user: ADMIN, password: password.reveal(), ca: authority.certificate };
  await Deno.writeTextFile(credentialsFile, JSON.stringify(credentials, null, 2) + "\n", {
    mode: 0o600,
  });
  const passwordHash = await hasher.hash(password, random);
  const { certificate, key } = authority;
  const admin = { name: ADMIN, passwordHash };
  const sealKey = newSealKey(random).reveal();
  return newSecurityDocument({ certificate, key: key.reveal(), sealKey }, admin, cluster);
}

function keeperOf(
  document: SecurityDocument,
  store: FileDocumentStore,
  deps: SecurityDeps & { readonly hasher: PasswordHasher; readonly audit: AuditLog },
): SecurityKeeper {
  return new SecurityKeeper({
    ...deps,
    write: (changed) =>
      store.write(changed).catch((error) => {
        deps.log.error("users and roles cannot be written", { error: messageOf(error) });
        throw error;
      }),
  }, document);
}
