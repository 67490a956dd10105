/**
 * The security of a node that is a cluster by itself, in a folder beside its data:
 *
 *     users.json   users, roles, tokens and the certificate authority (with its key)
 *     ca.crt       the authority's certificate, for clients
 *     admin.json   the first administrator's credentials, as `kv-client --credentials` takes them
 *     audit.log    who logged in, was refused, changed users: JSON lines
 *
 * All are for the owner alone (0700, 0600). The node's own key is made anew at each start and is in memory only.
 *
 * @module
 */
import { KvError, messageOf } from "../shared/base/errors.ts";
import { Secret } from "../shared/base/secret.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { ServerCertificate } from "../shared/platform/deno/deno_listen.ts";
import { FileDocumentStore } from "../shared/platform/deno/file_document_store.ts";
import type { Logger } from "../shared/platform/logger.ts";
import {
  markSecured,
  refuseNewSecurity,
  securityFolderOf,
} from "../shared/platform/deno/folder_security.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import { AuditLog } from "../shared/security/audit_log.ts";
import { fingerprintOfPem } from "../shared/security/authority_fingerprint.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../shared/security/certificate_authority.ts";
import { PasswordHasher } from "../shared/security/login/password.ts";
import {
  newSecurityDocument,
  parseSecurityDocument,
  type SecurityDocument,
} from "../shared/security/security_document.ts";
import { SecurityKeeper } from "../shared/security/security_keeper.ts";

/** The first user. */
const ADMIN = "admin";

/** What a secured node serves with. */
export interface NodeSecurity {
  readonly keeper: SecurityKeeper;
  readonly tls: ServerCertificate;
  /** The authority's certificate, as a file for clients. */
  readonly authorityFile: string;
  /** Its SHA-256, hexadecimal. */
  readonly fingerprint: string;
  /** Where the first credentials are; undefined if there were users before. */
  readonly credentialsFile: string | undefined;
}

/** What it is given. */
export interface NodeSecurityDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Opens the folder, or makes it with an administrator and an authority.
 *
 * @param data the data folder that they are for
 * @param hosts by which clients reach the node
 * @throws {KvError} `corrupt`, `storage_failed`; `bad_config` if they are gone although they were there
 */
export async function openSecurity(
  data: string,
  hosts: readonly string[],
  deps: NodeSecurityDeps,
): Promise<NodeSecurity> {
  const folder = securityFolderOf(data);
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new KvError("storage_failed", `cannot make the folder ${folder}: ${messageOf(error)}`);
  }
  const { clock } = deps;
  const store = new FileDocumentStore(`${folder}/users.json`);
  const hasher = new PasswordHasher();
  const kept = await store.read();
  if (kept === undefined) await refuseNewSecurity(data);
  const credentialsFile = kept === undefined ? `${folder}/admin.json` : undefined;
  const document = kept === undefined
    ? await begin(`${folder}/admin.json`, hasher, deps)
    : parseSecurityDocument(kept);
  if (kept === undefined) await store.write(document);
  await markSecured(data);
  const { certificate: authorityPem, key } = document.authority;
  const authority = await CertificateAuthority.open({
    certificate: authorityPem,
    key: new Secret(key),
  });
  const authorityFile = `${folder}/ca.crt`;
  await Deno.writeTextFile(authorityFile, authorityPem, { mode: 0o600 });
  const request = await createRequest();
  const certificate = await authority.sign(request.request, hosts, clock.wallMs());
  return {
    keeper: keeperOf(document, folder, store, hasher, deps),
    tls: { certificate, key: request.key },
    authorityFile,
    fingerprint: fingerprintOfPem(authorityPem),
    credentialsFile,
  };
}

/** The credentials are in their file before anything else is there: who finds no document begins anew. */
async function begin(
  credentialsFile: string,
  hasher: PasswordHasher,
  { clock, random }: NodeSecurityDeps,
): Promise<SecurityDocument> {
  const password = new Secret(randomId(random) + randomId(random));
  const authority = await createAuthority("kv", clock.wallMs());
  const credentials = { user: ADMIN, password: password.reveal(), ca: authority.certificate };
  await Deno.writeTextFile(credentialsFile, JSON.stringify(credentials, null, 2) + "\n", {
    mode: 0o600,
  });
  const passwordHash = await hasher.hash(password, random);
  const { certificate, key } = authority;
  return newSecurityDocument({ certificate, key: key.reveal() }, { name: ADMIN, passwordHash });
}

function keeperOf(
  document: SecurityDocument,
  folder: string,
  store: FileDocumentStore,
  hasher: PasswordHasher,
  { clock, random, log }: NodeSecurityDeps,
): SecurityKeeper {
  return new SecurityKeeper({
    clock,
    random,
    hasher,
    audit: new AuditLog(clock, (line) => append(`${folder}/audit.log`, line, log)),
    write: (changed) =>
      store.write(changed).catch((error) => {
        log.error("users and roles cannot be written", { error: messageOf(error) });
        throw error;
      }),
  }, document);
}

function append(path: string, line: string, log: Logger): void {
  try {
    Deno.writeTextFileSync(path, line, { append: true, mode: 0o600 });
  } catch (error) {
    log.error("the audit log cannot be written", { error: messageOf(error) });
  }
}
