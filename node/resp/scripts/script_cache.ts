/**
 * The scripts that this node remembers by their SHA-1, for EVALSHA: the last ones that were used, within a number and a
 * size. A client whose script has been forgotten gets NOSCRIPT and sends its text, as after a restart of Redis.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { RESP_SCRIPTS_BYTES_MAX, RESP_SCRIPTS_MAX } from "../../../shared/limits/resp.ts";

/** See the top of this file. */
export class ScriptCache {
  readonly #texts = new LRUCache<string, Uint8Array>({
    max: RESP_SCRIPTS_MAX,
    maxSize: RESP_SCRIPTS_BYTES_MAX,
    sizeCalculation: (text) => text.length + 1,
  });

  /** Remembers a script. @returns its SHA-1 in hexadecimal digits */
  add(text: Uint8Array): string {
    const sha1 = createHash("sha1").update(text).digest("hex");
    this.#texts.set(sha1, text);
    return sha1;
  }

  /** @param sha1 in any case */
  get(sha1: string): Uint8Array | undefined {
    return this.#texts.get(sha1.toLowerCase());
  }

  clear(): void {
    this.#texts.clear();
  }
}
