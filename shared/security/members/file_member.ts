/**
 * What a member of a secured cluster keeps of itself and of the cluster, in a folder beside its data:
 *
 *     member.json   its certificate with the key, and the authorities that it trusts
 *     judged.json   users, roles, tokens and revoked certificates, as it heard of them last (a node's)
 *     seen.json     which map it has seen last (a node's), with its seal
 *     ca.crt        the authorities' certificates, for clients
 *
 * All are for the owner alone (0700, 0600).
 *
 * Invariant: what `member.json` has is whole: a certificate and the key that belongs to it.
 *
 * @module
 */
import { KvError, messageOf } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { FileDocumentStore } from "../../platform/deno/file_document_store.ts";
import type { MemberCredentials } from "../../platform/member_identity.ts";
import { type MemberCertificate, readMemberCertificate } from "../certificate_authority.ts";
import { parseSeenMap, type SeenMap } from "../map_seal.ts";
import { type JudgedDocument, parseJudgedDocument } from "../security_document.ts";
import { makePrivateFolder } from "./file_security.ts";
import { pemFile } from "./pem_file.ts";

/** A member as it is kept. */
export interface KeptMember {
  readonly credentials: MemberCredentials;
  /** What its certificate says. */
  readonly certificate: MemberCertificate;
  /** Names and addresses that are in it. */
  readonly hosts: readonly string[];
  /** By which token it joined: a hash of it. */
  readonly joinedBy: string | undefined;
}

/** What is kept beside the credentials. */
export type MemberNotes = Pick<KeptMember, "hosts" | "joinedBy">;

/** The folder of one member. */
export class MemberFolder {
  readonly #path: string;
  readonly #member: FileDocumentStore;
  readonly #judged: FileDocumentStore;
  readonly #seen: FileDocumentStore;
  /** One write after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
    this.#member = new FileDocumentStore(`${path}/member.json`);
    this.#judged = new FileDocumentStore(`${path}/judged.json`);
    this.#seen = new FileDocumentStore(`${path}/seen.json`);
  }

  /** @throws {KvError} `corrupt`, `storage_failed` */
  async readMember(): Promise<KeptMember | undefined> {
    const value = await this.#member.read();
    if (value === undefined) return undefined;
    try {
      const { cluster, certificate, key, authorities, hosts, joined_by } = value as Record<
        string,
        unknown
      >;
      if (
        typeof cluster !== "string" || typeof certificate !== "string" || typeof key !== "string" ||
        !isTexts(authorities) || !isTexts(hosts)
      ) throw new Error("a part of it is missing");
      return {
        credentials: { cluster, certificate, key: new Secret(key), authorities },
        certificate: readMemberCertificate(certificate),
        hosts,
        joinedBy: typeof joined_by === "string" ? joined_by : undefined,
      };
    } catch (error) {
      throw new KvError(
        "corrupt",
        `${this.#path}/member.json is damaged (${messageOf(error)}); remove it, and join again`,
      );
    }
  }

  /** @throws {KvError} `storage_failed` */
  async keepMember(
    { cluster, certificate, key, authorities }: MemberCredentials,
    { hosts, joinedBy }: MemberNotes,
  ): Promise<void> {
    await this.#oneAfterTheOther(async () => {
      await makePrivateFolder(this.#path);
      await this.#member.write({
        cluster,
        certificate,
        key: key.reveal(),
        authorities,
        hosts,
        ...(joinedBy === undefined ? {} : { joined_by: joinedBy }),
      });
    });
  }

  /** @throws {KvError} `corrupt`, `storage_failed` */
  async readJudged(): Promise<JudgedDocument | undefined> {
    const value = await this.#judged.read();
    return value === undefined ? undefined : parseJudgedDocument(value);
  }

  /** @throws {KvError} `storage_failed` */
  async keepJudged(document: JudgedDocument): Promise<void> {
    await this.#oneAfterTheOther(async () => {
      await makePrivateFolder(this.#path);
      await this.#judged.write(document);
      await Deno.writeTextFile(`${this.#path}/ca.crt`, pemFile(document.authorities), {
        mode: 0o600,
      });
    });
  }

  /** What cannot be read counts as nothing: a node that cannot show what it has seen is not believed, and harms nobody. */
  async readSeen(): Promise<SeenMap | undefined> {
    return parseSeenMap(await this.#seen.read().catch(() => undefined));
  }

  /** Calls must not overlap. @throws {KvError} `storage_failed` */
  async keepSeen(seen: SeenMap): Promise<void> {
    await this.#seen.write(seen);
  }

  #oneAfterTheOther(write: () => Promise<void>): Promise<void> {
    const next = this.#writing.then(write);
    this.#writing = next.catch(() => {});
    return next;
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
