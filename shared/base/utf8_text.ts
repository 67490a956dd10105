/**
 * Converts bytes to text in the fastest way that the runtime has; bytes that are not UTF-8 become U+FFFD.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const bufferToString = Buffer.prototype.toString;
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Replaces bytes that are not UTF-8. */
export const REPLACEMENT = "\ufffd";

/** The text of bytes; a byte order mark at the beginning stays in it. */
export const lenientText: (bytes: Uint8Array) => string = takesPlainArrays()
  ? (bytes) => bufferToString.call(bytes, "utf8", 0, bytes.length)
  : (bytes) => decoder.decode(bytes);

/** Runtimes before Deno 2.5 look for the method's helpers on the array itself, and only a `Buffer` has them. */
function takesPlainArrays(): boolean {
  try {
    return bufferToString.call(new Uint8Array([0x6b, 0x76]), "utf8", 0, 2) === "kv";
  } catch {
    return false;
  }
}
