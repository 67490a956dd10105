/**
 * Keys, values and frames: the sizes of what is sent.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";

/** Sizes of what a client may send. */
export const KEY_BYTES_MAX = 2 * KIB;
/** The longest key that a node stores: a user's, or one of the system's own. */
export const STORED_KEY_BYTES_MAX = KEY_BYTES_MAX + 256;
export const VALUE_BYTES_MAX = 8 * MIB;
/** Longest media type that is kept with a value. */
export const CONTENT_TYPE_CHARACTERS_MAX = 255;
/** A frame holds one value, as base64 or as an escaped string of at most that length, and its envelope. */
export const FRAME_BYTES_MAX = 16 * MIB;
export const DATAGRAM_BYTES_MAX = 1_200;
/**
 * How deep arrays and objects may nest in anything that somebody sends. Our deepest message, a transaction
 * in a batch, nests 5; fields that carry any JSON (details of errors, statistics) nest a few more.
 */
export const JSON_DEPTH_MAX = 32;
/** Longest id of a request. */
export const ID_CHARACTERS_MAX = 1_024;
/** From a message longer than this, unknown fields are removed before it is kept. */
export const UNKNOWN_FIELDS_CHARACTERS_MAX = 1 * KIB;
/** A frame that has begun must be complete within this time. */
export const FRAME_TIMEOUT_MS = 30_000;

invariant(
  FRAME_BYTES_MAX > Math.ceil(VALUE_BYTES_MAX / 3) * 4 + 64 * KIB,
  "a frame holds a value as base64",
);
