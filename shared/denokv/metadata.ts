/**
 * The exchange that a client of KV Connect begins with: which version both speak, which database it is, where its data
 * is, and for how long that holds. Pure.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import {
  KV_CONNECT_METADATA_MS,
  KV_CONNECT_OTHER_NODE_ANSWERS_MAX,
  KV_CONNECT_OTHER_NODE_MS,
} from "../limits/http.ts";
import type { KvDatabase } from "./kv_database.ts";

/** The versions of the protocol that are spoken here, the best first. */
const VERSIONS: readonly number[] = [3, 2, 1];

/** What a client is told. The names are the protocol's. */
export interface DatabaseMetadata {
  readonly version: number;
  readonly databaseId: string;
  readonly endpoints: readonly { readonly url: string; readonly consistency: "strong" }[];
  readonly token: string;
  readonly expiresAt: string;
}

/**
 * The version for a client.
 *
 * @param body its request; undefined if it has none, as clients that know version 1 alone
 * @throws {KvError} `bad_request` if the body is none, `wrong_version` if there is no common version
 */
export function negotiatedVersion(body: unknown): number {
  if (body === undefined) return 1;
  const { supportedVersions: given } = (typeof body === "object" && body !== null ? body : {}) as {
    supportedVersions?: unknown;
  };
  if (!Array.isArray(given) || !given.every((version) => typeof version === "number")) {
    throw new KvError(
      "bad_request",
      `"supportedVersions" must be an array of numbers, such as [1, 2, 3]`,
    );
  }
  const version = VERSIONS.find((one) => given.includes(one));
  if (version !== undefined) return version;
  throw new KvError(
    "bad_request",
    `this server speaks the versions ${VERSIONS.toReversed().join(", ")} of KV Connect`,
  );
}

/** What the metadata are made of. */
export interface MetadataFacts {
  readonly version: number;
  /** The address that the client has asked, as it has written it. */
  readonly url: string;
  /** What it has shown, which it is to show again. */
  readonly token: string;
  /** The address of the database at another node, if the client is to go there; it asks again soon whether that holds. */
  readonly elsewhere?: string | undefined;
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/** What a client is told of a database. */
export function databaseMetadata(
  database: KvDatabase,
  clusterId: string,
  { version, url, token, elsewhere, nowMs, lifetimeMs }: MetadataFacts,
): DatabaseMetadata {
  const endpoint = elsewhere ?? endpointOf(database, version, url);
  return {
    version,
    databaseId: database.id(clusterId),
    endpoints: [{ url: endpoint, consistency: "strong" }],
    token,
    expiresAt: new Date(nowMs + lifetimeMs).toISOString(),
  };
}

/** For how long metadata hold: a short time if they name another node, but not for everybody (see the limits). */
export class MetadataLifetimes {
  #second = 0;
  #answers = 0;

  /** For the next answer. */
  next(namesOther: boolean, nowMs: number): number {
    if (!namesOther) return KV_CONNECT_METADATA_MS;
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) this.#answers = 0;
    this.#second = second;
    this.#answers++;
    return this.#answers > KV_CONNECT_OTHER_NODE_ANSWERS_MAX
      ? KV_CONNECT_METADATA_MS
      : KV_CONNECT_OTHER_NODE_MS;
  }
}

/** Whether it is Deno's own client, which asks again in time; npm's would ask before each request if the time were short. */
export function isDenosOwn(headers: Headers): boolean {
  // Deno's fetch, by which npm's client asks there, names a language.
  return /^Deno\//.test(headers.get("user-agent") ?? "") && !headers.has("accept-language");
}

/**
 * Where the data is: at the same address, so that it is reached in the same way, through whatever proxy. From version 2 on an
 * endpoint is relative to the address that was asked.
 */
function endpointOf({ name }: KvDatabase, version: number, url: string): string {
  const path = new URL(url).pathname;
  // Relative addresses replace what follows the last slash.
  const relative = path.endsWith("/") ? `../${name}` : `./${name}`;
  return version === 1 ? new URL(relative, url).href : relative;
}
