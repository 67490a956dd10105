/**
 * Which keys are watched.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { WATCH_SELECTORS_MAX } from "../../../../shared/limits/scans.ts";
import {
  checkSelection,
  matcherOf,
  partitionsOf,
  type WatchSelection,
} from "../../../../shared/watch/watch_selection.ts";

Deno.test("watch selection: keys and prefixes; what is the system's own is nobody's", () => {
  const table = [
    [{ prefixes: [""] }, "a", true],
    [{ prefixes: [""] }, "\0session/c", false],
    [{ prefixes: ["\0"] }, "\0txn/i/c", false],
    [{ keys: ["\0session/c"] }, "\0session/c", false],
    // Rows of named databases are shown to who names one.
    [{ prefixes: ["\0"] }, "\0db/000001/k", false],
    [{ prefixes: ["\0db/000001/"] }, "\0db/000001/k", true],
    // A user's key may begin so, too.
    [{ prefixes: [""] }, "\0session", true],
    [{ keys: ["\0x"] }, "\0x", true],
    [{ prefixes: ["user:"] }, "user:1", true],
    [{ prefixes: ["user:"] }, "user", false],
    [{ prefixes: ["a", "b"] }, "bc", true],
    [{ keys: ["k"] }, "k", true],
    [{ keys: ["k"] }, "kk", false],
    [{ keys: ["k"], prefixes: ["p"] }, "pp", true],
    [{}, "k", false],
    // Prefixes are bytes: this one ends within the character.
    [{ prefixes: ["k\udcc3"] }, "ké", true],
    [{ prefixes: ["k\udcc3"] }, "k\udcc3\udcff", true],
    [{ prefixes: ["k\udcc3"] }, "ka", false],
    [{ keys: ["\udcff"] }, "\udcff", true],
  ] as const;
  for (const [selection, key, expected] of table) {
    assertEquals(matcherOf(selection)(key), expected, JSON.stringify([selection, key]));
  }
});

Deno.test("watch selection: keys alone concern only their partitions", () => {
  const keys = ["a", "b"];
  assertEquals(
    [...partitionsOf({ keys }, 64)],
    [...new Set(keys.map((key) => partitionOf(key, 64)))].sort((a, b) => a - b),
  );
  assertEquals(partitionsOf({ keys, prefixes: ["x"] }, 64).size, 64);
});

Deno.test("watch selection: nothing, and too much, is refused", () => {
  const many = Array.from({ length: WATCH_SELECTORS_MAX + 1 }, (_, i) => `k${i}`);
  for (
    const selection of [{}, { keys: [] }, { keys: many }, { keys: [""] }, { prefixes: ["\ud800"] }]
  ) {
    assertEquals(
      assertThrows(() => checkSelection("watch", selection), KvError).code,
      "bad_request",
    );
  }
});

Deno.test("matcherOf: keys of a named database are seen by who names it, and by nobody who watches everything", () => {
  const row = "\0db/000001/k";
  const sees = (selection: WatchSelection) => matcherOf(selection)(row);
  assertEquals(sees({ prefixes: [""] }), false);
  assertEquals(sees({ prefixes: ["\0"] }), false);
  assertEquals(sees({ prefixes: ["", "\0db/000002/"] }), false);
  assertEquals(sees({ prefixes: ["a", "\0db/000001/"] }), true);
  assertEquals(sees({ keys: [row] }), true);
  assertEquals(matcherOf({ keys: ["\0session/x"], prefixes: [""] })("\0session/x"), false);
});
