/**
 * What the load generator needs of any client of any store: two calls, with callbacks. A client may stand
 * for many connections. The caller says by a slot which of its virtual clients is calling, so that a virtual
 * client with a connection of its own always uses the same one.
 *
 * Invariant: `done` is called once for each call, with the error's text if there is one. A missing key is an
 * error, because everything that is read was loaded before.
 *
 * @module
 */

/** Called at the end of an operation. */
export type Done = (error?: string) => void;

/** A client of some store. */
export interface StoreClient {
  get(slot: number, key: string, done: Done): void;
  /** Writes the value with this number from the pool that the client was made with. */
  put(slot: number, key: string, value: number, done: Done): void;
  close(): void;
}

/** Where a server listens; of a store that is a file, `host` is its path. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The kinds of clients. */
export const CLIENT_KINDS = [
  "library",
  "wire",
  "resp",
  "http",
  "etcd-grpc",
  "etcd-http",
  "nats",
  "denokv-file",
] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

/** How to make one. */
export interface ClientSpec {
  readonly kind: ClientKind;
  readonly endpoints: readonly Endpoint[];
  /** Of all virtual clients together, spread over the endpoints; the library makes its own. */
  readonly connections: number;
}
