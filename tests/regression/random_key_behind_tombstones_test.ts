/**
 * RANDOMKEY said that there was no key after two pages that were empty and yet had a `next`, as they are
 * if many keys have just been deleted. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { Database } from "../../shared/database/database.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { findRandomKey } from "../../node/resp/commands/random_key.ts";

Deno.test("RANDOMKEY finds a key behind many tombstones", () => {
  const database: Pick<Database, "scan"> = {
    scan: ({ after = "" }, _timeoutMs: number, done) => {
      const at = after === "" ? 0 : Number(after);
      const entry = {
        key: "z",
        value: new Uint8Array(0),
        seq: 1,
        term: 1,
        flags: 0,
        timestampMs: 0,
        expiresAtMs: 0,
      };
      done(at < 4 ? { entries: [], next: String(at + 1) } : { entries: [entry], next: undefined });
      return () => {};
    },
  };
  const found: unknown[] = [];
  findRandomKey(database as Database, new SeededRandom(1), (result) => found.push(result));
  assertEquals(found, ["z"]);
});
