/**
 * The one error class that crosses the wire, and the list of its codes. Code never compares the text;
 * a code keeps its meaning once it is published.
 *
 * @module
 */

/**
 * Every code, with what it means and whether the request is known not to have happened (so that a
 * client may safely send it again).
 */
export const ERROR_CODES = {
  /** The request is malformed: not JSON, unknown type, wrong or missing field, bad key. */
  bad_request: { retry: false, text: "the request is malformed" },
  /** No such key. */
  not_found: { retry: false, text: "there is no such key" },
  /** The key is there and must not be. */
  exists: { retry: false, text: "the key exists" },
  /** The key has another version than the request asks for. */
  version_mismatch: { retry: false, text: "the key has another version" },
  /** The node is not the partition's primary; `detail.primary` names the primary if it is known. */
  not_primary: { retry: true, text: "this node is not the primary of the key's partition" },
  /** No process can serve the request now; it did not happen. */
  unavailable: { retry: true, text: "the partition cannot be served now" },
  /** The request may or may not have happened. */
  outcome_unknown: { retry: false, text: "the write may or may not have happened" },
  /** Fewer in-sync replicas than `minInSync`. */
  not_enough_replicas: { retry: true, text: "too few replicas are in sync" },
  /** A queue is full; the request did not happen. */
  overloaded: { retry: true, text: "too much work is queued" },
  /** The deadline passed before the request was carried out; it did not happen. */
  timeout: { retry: false, text: "the deadline passed" },
  /** A frame is longer than the limit. The connection is closed. */
  frame_too_large: { retry: false, text: "the message is longer than the limit" },
  /** The key is longer than the limit. */
  key_too_large: { retry: false, text: "the key is longer than the limit" },
  /** The value is longer than the limit. */
  value_too_large: { retry: false, text: "the value is longer than the limit" },
  /** What is on disk is damaged, and no other replica is left. */
  corrupt: { retry: false, text: "the stored data is damaged" },
  /** The disk refused a read or write (full, failing). */
  storage_failed: { retry: false, text: "the disk failed" },
  /** Credentials are missing or wrong. */
  unauthorized: { retry: false, text: "credentials are missing or wrong" },
  /** The credentials do not allow this. */
  forbidden: { retry: false, text: "the credentials do not allow this" },
  /** A node with this id is running, or its folder is an old copy. */
  stale_incarnation: { retry: false, text: "another run of this node is newer" },
  /** The coordinator's document is an old copy: a node has seen a later map. */
  stale_document: { retry: false, text: "the coordinator's document is an old copy" },
  /** The data folder or peer belongs to another cluster. */
  wrong_cluster: { retry: false, text: "this belongs to another cluster" },
  /** The peer speaks a protocol version that is not supported. */
  wrong_version: { retry: false, text: "the version is not supported" },
  /** Another process holds the data folder. */
  folder_in_use: { retry: false, text: "another process holds the folder" },
  /** Another process listens on the address. */
  address_in_use: { retry: false, text: "another process listens on the address" },
  /** A flag, environment variable or configuration file is wrong. */
  bad_config: { retry: false, text: "the configuration is wrong" },
  /** The value or the argument is not an integer of 64 bits. */
  not_an_integer: { retry: false, text: "this is not an integer" },
  /** The value or the argument is not a number. */
  not_a_float: { retry: false, text: "this is not a number" },
  /** The result does not fit. */
  out_of_range: { retry: false, text: "the result is out of range" },
  /** The keys of a transaction are in different partitions. */
  /** What a transaction changes or answers does not fit into one message. */
  transaction_too_large: { retry: false, text: "the transaction is larger than the limit" },
  /** The request has happened, and its answer was too long to be kept for a repetition. */
  reply_not_kept: { retry: false, text: "it has happened; its answer was too long to be kept" },
  /** The request was not done: its client session may have been forgotten. It may be sent again with `detail.since`. */
  session_evicted: { retry: false, text: "the client session may have been forgotten" },
  /** There is no database of this name. */
  no_database: { retry: false, text: "there is no such database" },
  /** The write would make the database larger than its quota allows. */
  quota_exceeded: { retry: false, text: "the database is as large as its quota allows" },
  /** A mistake in our own code. */
  internal: { retry: false, text: "an internal error" },
} as const satisfies Record<string, { retry: boolean; text: string }>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** Options of a {@linkcode KvError}. */
export interface KvErrorOptions extends ErrorOptions {
  /** Machine-readable facts that go over the wire with the error, such as the right primary. */
  detail?: Record<string, unknown>;
}

/** An error with a stable code. */
export class KvError extends Error {
  override readonly name = "KvError";
  readonly code: ErrorCode;
  readonly detail: Record<string, unknown> | undefined;

  /** @param message what was attempted, what was required, and what was found */
  constructor(code: ErrorCode, message: string, options: KvErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.detail = options.detail;
  }

  /** True if the request is known not to have happened and may be tried again. */
  get retryable(): boolean {
    return ERROR_CODES[this.code].retry;
  }
}

/** Whether a text is one of the codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

/**
 * The text of anything thrown. It classifies nothing: use it for a message that is only shown, in a
 * place where nothing depends on the kind of error.
 */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Any thrown thing as a KvError: itself, or `internal` with it as the cause. Use it only if an error
 * leaves our code: a person is told, or a caller gets the error, and no state of ours lives on (the
 * client; the last answer of a dying server). A server's own code calls {@linkcode failureOf}.
 */
export function toKvError(error: unknown): KvError {
  if (error instanceof KvError) return error;
  return new KvError("internal", messageOf(error), { cause: error });
}

/**
 * Whether a thrown thing shows a mistake in our own program: a broken invariant, or what the language
 * throws for wrong code (a field of undefined, an array of negative length, a stack overflow). Errors
 * of libraries and of the system are not defects: when they get here they are KvErrors or plain errors.
 */
export function isDefect(error: unknown): boolean {
  return error instanceof InvariantError || error instanceof TypeError ||
    error instanceof RangeError || error instanceof ReferenceError || error instanceof SyntaxError;
}

/**
 * A failure that may happen in normal operation, as an error with a code. A defect of ours is thrown
 * again instead: the code that caught it does not know what state it left behind, so nothing may go on
 * with that state. From a callback or a rejected promise, the defect gets to the top, which ends the
 * process (`exitOnDefect`). This is the one place that decides which of the two an error is.
 *
 * @returns the error itself, or `internal` for an error without a code that is not a defect
 * @throws the error, if {@linkcode isDefect}
 */
export function failureOf(error: unknown): KvError {
  if (isDefect(error)) throw error;
  return toKvError(error);
}

/**
 * Whether an error says that stored data is damaged, so that reading it again is useless. Any other
 * error of a read may be gone at the next attempt, and says nothing about the data.
 */
export function isDamage(error: unknown): boolean {
  return error instanceof KvError && error.code === "corrupt";
}

/** A condition of our own code does not hold: a defect. The process must not go on. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Checks what our own code guarantees. Never for what a peer sent.
 *
 * @throws {InvariantError} with the values, if the condition is false
 */
export function invariant(
  condition: boolean,
  what: string,
  values?: Record<string, unknown>,
): asserts condition {
  if (!condition) {
    throw new InvariantError(values === undefined ? what : `${what}: ${JSON.stringify(values)}`);
  }
}
