/**
 * What the register needs of etcd's v3 API, as JSON over HTTP: etcd's own gateway, which each of its members serves on
 * its clients' port (etcd 3.4 and later, `/v3/…`). Keys and values are base64 there, and 64-bit numbers are texts.
 *
 * Here is only the shape of requests and replies; `deno_etcd.ts` sends them. Source: etcd's documentation, "gRPC
 * gateway" and "etcd API" (`rpc.proto`).
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";

/** Sends one request to one of the members of an etcd cluster. */
export interface EtcdGateway {
  /**
   * @param path such as `/v3/kv/txn`
   * @returns the reply's JSON
   * @throws {KvError} `unavailable` (no answer within `ETCD_TIMEOUT_MS`, or etcd has no leader: the request may have
   *   been carried out), `unauthorized`, `forbidden`, `storage_failed` (etcd has no room), `bad_request`
   */
  call(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown>;
  close(): void;
}

/** A key's value, with the numbers that etcd gives it. */
export interface EtcdValue {
  readonly bytes: Uint8Array;
  /** The revision of etcd's store at which the key was made; it is a new one after each deletion. */
  readonly created: number;
  /** The revision of the last write to it. */
  readonly modified: number;
}

/** What a transaction does if its comparisons hold, or if they do not. */
export type EtcdOperation = Readonly<Record<string, unknown>>;

/** A comparison of a key's revision; 0 if it is not there. */
export type EtcdComparison = Readonly<Record<string, unknown>>;

/** How a transaction ended. */
export interface EtcdOutcome {
  /** Whether its comparisons held. */
  readonly succeeded: boolean;
  /** The store's revision at which it was carried out. */
  readonly revision: number;
  /** What its reads found, in their order; an empty list for each operation that is no read. */
  readonly found: readonly (readonly EtcdValue[])[];
}

/** The key was made at this revision; 0: there is no such key. */
export function createdAt(key: string, revision: number): EtcdComparison {
  return { target: "CREATE", key: base64(key), create_revision: String(revision) };
}

/** The key was written last at this revision; 0: there is no such key. */
export function modifiedAt(key: string, revision: number): EtcdComparison {
  return { target: "MOD", key: base64(key), mod_revision: String(revision) };
}

/** Reads one key. */
export function get(key: string): EtcdOperation {
  return { request_range: { key: base64(key) } };
}

/** Reads at most `limit` keys that begin with a prefix. */
export function getAll(prefix: string, limit: number): EtcdOperation {
  const [key, range_end] = rangeOf(prefix);
  return { request_range: { key, range_end, limit: String(limit) } };
}

/** Writes a key. @param lease with whose end the key goes; a number as text */
export function put(key: string, value: Uint8Array | string, lease?: string): EtcdOperation {
  return { request_put: { key: base64(key), value: base64(value), ...(lease && { lease }) } };
}

/** Deletes from one key on, up to another one, which stays. */
export function deleteRange(from: string, to: string): EtcdOperation {
  return { request_delete_range: { key: base64(from), range_end: base64(to) } };
}

/** Carries out one list of operations, in one moment, or the other. @throws {KvError} as {@linkcode EtcdGateway.call} */
export async function transaction(
  gateway: EtcdGateway,
  compare: readonly EtcdComparison[],
  success: readonly EtcdOperation[],
  failure: readonly EtcdOperation[] = [],
): Promise<EtcdOutcome> {
  const reply = asRecord(await gateway.call("/v3/kv/txn", { compare, success, failure }));
  const responses = Array.isArray(reply.responses) ? reply.responses : [];
  return {
    succeeded: reply.succeeded === true,
    revision: numberOf(asRecord(reply.header).revision),
    found: responses.map((response) => valuesOf(asRecord(response).response_range)),
  };
}

/** A new lease. @returns its id, and how long it lasts: etcd may give more than was asked for */
export async function grantLease(
  gateway: EtcdGateway,
  seconds: number,
): Promise<{ lease: string; lastsMs: number }> {
  const reply = asRecord(await gateway.call("/v3/lease/grant", { TTL: String(seconds) }));
  const lease = String(reply.ID ?? "");
  if (!/^\d+$/.test(lease)) throw notUnderstood("lease/grant");
  return { lease, lastsMs: numberOf(reply.TTL) * 1000 };
}

/** @returns for how long it lasts from now on; 0 if it has ended */
export async function keepLease(gateway: EtcdGateway, lease: string): Promise<number> {
  const reply = asRecord(await gateway.call("/v3/lease/keepalive", { ID: lease }));
  return numberOf(asRecord(reply.result ?? reply).TTL) * 1000;
}

/** Ends a lease, and with it the keys that go with it. */
export async function revokeLease(gateway: EtcdGateway, lease: string): Promise<void> {
  await gateway.call("/v3/lease/revoke", { ID: lease });
}

/** @throws {KvError} `unavailable` for what is no reply of etcd */
function notUnderstood(what: string): KvError {
  return new KvError("unavailable", `what answers at etcd's address gave no reply to ${what}`);
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function valuesOf(range: unknown): EtcdValue[] {
  const { kvs } = asRecord(range);
  return (Array.isArray(kvs) ? kvs : []).map((kv) => {
    const { value, create_revision, mod_revision } = asRecord(kv);
    return {
      // An empty value is left out of the reply.
      bytes: typeof value === "string" ? Uint8Array.fromBase64(value) : new Uint8Array(),
      created: numberOf(create_revision),
      modified: numberOf(mod_revision),
    };
  });
}

/** A 64-bit number; what is 0 is left out of a reply. @throws {KvError} `unavailable` if it is none */
function numberOf(text: unknown): number {
  const number = Number(text ?? 0);
  if (!Number.isSafeInteger(number) || number < 0) throw notUnderstood("a request");
  return number;
}

const encoder = new TextEncoder();

function base64(value: string | Uint8Array): string {
  return (typeof value === "string" ? encoder.encode(value) : value).toBase64();
}

function rangeOf(prefix: string): [from: string, to: string] {
  const to = encoder.encode(prefix);
  // Prefixes here end with "/", whose successor is "0".
  to[to.length - 1] = (to.at(-1) ?? 0) + 1;
  return [base64(prefix), to.toBase64()];
}
