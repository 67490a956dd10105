/**
 * What the messages of KV Connect's data path contain, with the numbers of the protocol's `datapath.proto`.
 * `messages.ts` reads and writes them.
 *
 * @module
 */

/** How a value is encoded. */
export const ENCODING = { V8: 1, LE64: 2, BYTES: 3 } as const;
/** What a mutation does. */
export const MUTATION = { SET: 1, DELETE: 2, SUM: 3, MAX: 4, MIN: 5, SET_STAMPED: 9 } as const;
/** What became of an atomic write. */
export const WRITE_STATUS = { SUCCESS: 1, CHECK_FAILURE: 2 } as const;
/** What became of a read. */
export const READ_STATUS = { SUCCESS: 1, DISABLED: 2 } as const;

/** A range of keys; `end` is exclusive. */
export interface RangeMessage {
  start: Uint8Array;
  end: Uint8Array;
  limit: number;
  reverse: boolean;
}

/** A key and the versionstamp that it must have; an empty one: there must be no such key. */
export interface CheckMessage {
  key: Uint8Array;
  versionstamp: Uint8Array;
}

/** A change of a key. */
export interface MutationMessage {
  key: Uint8Array;
  data: Uint8Array;
  encoding: number;
  type: number;
  /** Milliseconds since 1970; 0 for never. */
  expireAtMs: bigint;
  /** Bounds of a sum, in V8's form. */
  sumMin: Uint8Array;
  sumMax: Uint8Array;
  sumClamp: boolean;
}

/** An atomic write. */
export interface AtomicWriteMessage {
  checks: CheckMessage[];
  mutations: MutationMessage[];
  /** How many messages for queues there are. */
  enqueues: number;
}

/** An entry. */
export interface EntryMessage {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: number;
  readonly versionstamp: Uint8Array;
}
