import { assert, assertEquals } from "@std/assert";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { RANGES_BYTES_MAX, RANGES_SPARE_ROWS } from "../../../../shared/limits/requests.ts";
import type { ReadRange } from "../../../../shared/operations/ranges.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { fromWireEntry } from "../../../../shared/schema/value_codec.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

function read(...ranges: ReadRange[]): Message<"read_ranges"> {
  return { req_type: "read_ranges", key: "any", ranges };
}

/** The keys of each range. */
function keysOf(reply: Reply): string[][] {
  assert(reply.req_type === "entries", JSON.stringify(reply));
  const entries = reply.local_entries ?? reply.entries.map(fromWireEntry);
  const keys = entries.map(({ key }) => key);
  return (reply.counts ?? []).map((count) => keys.splice(0, count));
}

async function start(nodes = 1): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes });
  await cluster.startAll();
  return cluster;
}

Deno.test("read_ranges: ranges in both directions, up to their limits; an empty range has nothing", async () => {
  const cluster = await start();
  for (const key of ["a", "b", "c", "d", "é", "☃"]) await cluster.ask("n1", put(key, key));
  const reply = await cluster.ask(
    "n1",
    read(
      { start: "a", end: "c", limit: 10 },
      { start: "", end: "z", limit: 2, reverse: true },
      { start: "d", end: "\u{10ffff}", limit: 10 },
      { start: "c", end: "a", limit: 10 },
      { start: "b", end: "c", limit: 1 },
      { start: "0", end: "a", limit: 1 },
    ),
  );
  assertEquals(keysOf(reply), [["a", "b"], ["d", "c"], ["d", "é", "☃"], [], ["b"], []]);
});

Deno.test("read_ranges: another node is asked, and answers", async () => {
  const cluster = await start(2);
  await cluster.ask("n1", put("a", "1"));
  const reply = await cluster.ask("n2", read({ start: "a", end: "b", limit: 1 }));
  assert(reply.req_type === "error" && reply.code === "not_primary", "a replica sends it on");
});

Deno.test("read_ranges: many deleted keys before a live one hide nothing", async () => {
  const cluster = await start();
  const names = Array.from({ length: 3 * RANGES_SPARE_ROWS }, (_, i) => `k${1_000 + i}`);
  for (const key of names) await cluster.ask("n1", put(key, key));
  const kept = [names[50] ?? "", names.at(-1) ?? ""];
  for (const key of names) {
    if (!kept.includes(key)) await cluster.ask("n1", { req_type: "delete", key });
  }
  for (const reverse of [false, true]) {
    const expected = reverse ? kept.toReversed() : kept;
    for (const limit of [1, 2, 3]) {
      const reply = await cluster.ask("n1", read({ start: "k", end: "l", limit, reverse }));
      assertEquals(keysOf(reply), [expected.slice(0, limit)]);
    }
  }
});

Deno.test("read_ranges: all ranges are of one moment while transactions change them (rule R5)", async () => {
  const cluster = await start(2);
  const random = new SeededRandom(5);
  const value = (n: number) => String(n);
  const moves = Array.from({ length: 30 }, (_, n) => {
    // Each transaction writes the same number to both ends, and takes a key from one half to the other.
    const [from, to] = n % 2 === 0 ? ["a5", "z5"] : ["z5", "a5"];
    return cluster.ask("n1", {
      req_type: "transaction",
      key: "a1",
      requests: [
        put("a1", value(n)),
        { req_type: "delete", key: from },
        put(to, value(n)),
        put("z1", value(n)),
      ],
    });
  });
  const reads: Promise<Reply>[] = [];
  for (let i = 0; i < 40; i++) {
    await cluster.run(randomBelow(random, 4));
    const ranges = [{ start: "a", end: "b", limit: 9 }, { start: "z", end: "zz", limit: 9 }];
    reads.push(cluster.ask("n1", read(...ranges)));
  }
  await Promise.all(moves);
  for (const reply of await Promise.all(reads)) {
    const [low = [], high = []] = keysOf(reply);
    assert(reply.req_type === "entries");
    const entries = reply.local_entries ?? reply.entries.map(fromWireEntry);
    if (entries.length === 0) continue;
    assertEquals([...low, ...high].length, 3, "a key that moves is in one half");
    const numbers = new Set(entries.map(({ value }) => new TextDecoder().decode(value)));
    assertEquals(numbers.size, 1);
  }
});

Deno.test("read_ranges: more bytes than fit are refused, whichever way they are found", async () => {
  const cluster = await start();
  const bytes = new Uint8Array(RANGES_BYTES_MAX / 8);
  for (let i = 0; i < 9; i++) await cluster.ask("n1", { req_type: "put", key: `k${i}`, bytes });
  const all = await cluster.ask("n1", read({ start: "k", end: "l", limit: 100 }));
  assert(all.req_type === "error");
  assertEquals(all.code, "value_too_large");
  const some = await cluster.ask("n1", read({ start: "k", end: "l", limit: 7 }));
  assertEquals(keysOf(some)[0]?.length, 7);
});

Deno.test("read_ranges: as a model has it, on random keys", async () => {
  const cluster = await start();
  const random = new SeededRandom(9);
  const model = new Set<string>();
  const name = () => String.fromCharCode(97 + randomBelow(random, 6), 97 + randomBelow(random, 6));
  for (let i = 0; i < 300; i++) {
    const key = name();
    if (randomBelow(random, 3) === 0) {
      await cluster.ask("n1", { req_type: "delete", key });
      model.delete(key);
    } else {
      await cluster.ask("n1", put(key, "v"));
      model.add(key);
    }
    if (i % 10 !== 0) continue;
    const ranges = Array.from({ length: 3 }, () => ({
      ...{ start: name(), end: name(), limit: 1 + randomBelow(random, 9) },
      reverse: randomBelow(random, 2) === 1,
    }));
    const expected = ranges.map(({ start, end, limit, reverse }) => {
      const keys = [...model].filter((key) =>
        compareKeys(key, start) >= 0 && compareKeys(key, end) < 0
      ).toSorted(compareKeys);
      return (reverse ? keys.reverse() : keys).slice(0, limit);
    });
    assertEquals(keysOf(await cluster.ask("n1", read(...ranges))), expected);
  }
});
