/**
 * Tokens of watches: what comes back is what went in, and nothing else is taken for a token.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { BEGINNING, type WatchPosition } from "../../../../shared/watch/watch_position.ts";
import { keyPrefixOf, NAMED_FROM } from "../../../../shared/cluster/databases.ts";
import { decodeToken, encodeToken, tokenScope } from "../../../../shared/watch/watch_token.ts";

const PARTITIONS = 256;

function somePositions(random: SeededRandom): Map<number, WatchPosition | undefined> {
  const positions = new Map<number, WatchPosition | undefined>();
  for (let partition = 0; partition < PARTITIONS; partition += 1 + randomBelow(random, 40)) {
    const seq = randomBelow(random, 2) === 0 ? randomBelow(random, 200) : 2 ** 40 + partition;
    const lineage = randomBelow(random, 3) === 0 ? 1 + randomBelow(random, 1_000) : 0;
    const kinds = [
      undefined,
      BEGINNING,
      { lineage, seq, upto: seq },
      { lineage, seq, upto: seq + 1 + randomBelow(random, 300) },
    ] as const;
    positions.set(partition, kinds[randomBelow(random, kinds.length)]);
  }
  return positions;
}

Deno.test("watch token: what was written comes back", () => {
  const random = new SeededRandom(1);
  for (let i = 0; i < 200; i++) {
    const positions = somePositions(random);
    const token = encodeToken("a cluster", PARTITIONS, positions);
    assertEquals(decodeToken(token, "a cluster", PARTITIONS), positions);
  }
});

Deno.test("watch token: a partition that is being read is read again from its beginning", () => {
  const reading = { base: 9, after: "k", whole: true };
  const catching = { base: 9, after: "k", whole: false };
  const token = encodeToken(
    "c",
    2,
    new Map([
      [0, { lineage: 3, seq: 0, upto: 9, reading }],
      [1, { lineage: 3, seq: 5, upto: 9, reading: catching }],
    ]),
  );
  assertEquals(
    decodeToken(token, "c", 2),
    new Map<number, WatchPosition>([[0, BEGINNING], [1, { lineage: 3, seq: 5, upto: 9 }]]),
  );
});

Deno.test("watch token: another cluster's means nothing here", () => {
  const token = encodeToken("a", 4, new Map([[0, undefined]]));
  assertEquals(decodeToken(token, "b", 4), undefined);
  assertEquals(decodeToken(token, "a", 8), undefined);
});

Deno.test("watch token: what is cut off or changed is refused as bad_request", () => {
  const random = new SeededRandom(2);
  const token = encodeToken("c", PARTITIONS, somePositions(random));
  const broken = ["", "x", "!!", "%00", token.repeat(2)];
  for (let at = 0; at < token.length; at += 3) {
    broken.push(token.slice(0, at));
    const other = token[at] === "A" ? "B" : "A";
    broken.push(token.slice(0, at) + other + token.slice(at + 1));
  }
  for (const text of broken) {
    // The last character may have bits that say nothing.
    if (text.length === token.length && text.slice(0, -1) === token.slice(0, -1)) continue;
    const error = assertThrows(() => decodeToken(text, "c", PARTITIONS), KvError);
    assert(error instanceof KvError);
    assertEquals(error.code, "bad_request", text);
  }
});

Deno.test("watch token: it counts for one database; a later one of the same name is another one", () => {
  const scope = (selection: { keys?: string[]; prefixes?: string[] }) => tokenScope("c", selection);
  const prefixOf = (number: number, together?: true) =>
    keyPrefixOf({ number, ...(together === undefined ? {} : { together }) });
  assertEquals(scope({ prefixes: [""] }), "c");
  assertEquals(scope({ keys: ["a"] }), "c");
  assertEquals(scope({ prefixes: [prefixOf(3)] }), "c/3");
  assertEquals(scope({ keys: [prefixOf(3) + "a"] }), "c/3");
  assertEquals(scope({ prefixes: [prefixOf(4, true) + "p"] }), "c/4");
  // All databases.
  assertEquals(scope({ prefixes: ["", NAMED_FROM] }), "c");
  const token = encodeToken("c/3", 4, new Map([[0, undefined]]));
  assertEquals(decodeToken(token, "c/4", 4), undefined);
});
