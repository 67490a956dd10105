/**
 * The exchange that a client of KV Connect begins with: which version both speak, which database it is, where its data
 * is, and for how long that holds. Pure.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { KV_CONNECT_METADATA_MS } from "../limits/http.ts";
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

/**
 * @param url the address that the client has asked, as it has written it
 * @param token what it has shown, which it is to show again
 */
export function databaseMetadata(
  database: KvDatabase,
  clusterId: string,
  { version, url, token, nowMs }: { version: number; url: string; token: string; nowMs: number },
): DatabaseMetadata {
  return {
    version,
    databaseId: database.id(clusterId),
    endpoints: [{ url: endpointOf(database, version, url), consistency: "strong" }],
    token,
    expiresAt: new Date(nowMs + KV_CONNECT_METADATA_MS).toISOString(),
  };
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
