import { assert, assertEquals } from "@std/assert";
import { keyRange } from "../../../../shared/base/key_range.ts";
import { compareKeys, prefixEnd } from "../../../../shared/base/key_order.ts";
import {
  countReady,
  mergePage,
  type Run,
  shareOf,
} from "../../../../shared/database/ordered_merge.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const LETTERS = ["", "a", "b", "\x7f", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"];

function randomWord(random: SeededRandom): string {
  const length = randomBelow(random, 4);
  return Array.from({ length }, () => LETTERS[randomBelow(random, LETTERS.length)]).join("");
}

Deno.test("prefixEnd: the keys with a prefix are those from it to before its end", () => {
  const random = new SeededRandom(5);
  for (let i = 0; i < 20_000; i++) {
    const prefix = randomWord(random);
    const key = (randomBelow(random, 2) === 0 ? prefix : "") + randomWord(random);
    const end = prefixEnd(prefix);
    const within = compareKeys(key, prefix) >= 0 &&
      (end === undefined || compareKeys(key, end) < 0);
    assertEquals(within, key.startsWith(prefix), JSON.stringify([key, prefix, end]));
  }
});

Deno.test("keyRange: prefix and bounds together", () => {
  const random = new SeededRandom(6);
  for (let i = 0; i < 20_000; i++) {
    const [prefix, start, end] = [0, 1, 2].map(() =>
      randomBelow(random, 3) === 0 ? undefined : randomWord(random)
    );
    const key = "a" + randomWord(random);
    const range = keyRange({ prefix, start, end });
    const wanted = key.startsWith(prefix ?? "") && compareKeys(key, start ?? "") >= 0 &&
      (end === undefined || compareKeys(key, end) < 0);
    const within = !range.empty && compareKeys(key, range.start ?? "") >= 0 &&
      (range.end === undefined || compareKeys(key, range.end) < 0);
    assertEquals(within, wanted, JSON.stringify([key, prefix, start, end, range]));
  }
});

interface Item {
  key: string;
  version: number;
}

Deno.test("mergePage: pages in a row give every item of all runs once, in order, the newest of two", () => {
  const random = new SeededRandom(7);
  for (let round = 0; round < 500; round++) {
    const reverse = randomBelow(random, 2) === 0;
    const order = (a: string, b: string) => reverse ? compareKeys(b, a) : compareKeys(a, b);
    const all = Array.from({ length: randomBelow(random, 5) }, () => {
      const run = new Map<string, Item>();
      for (let i = randomBelow(random, 12); i > 0; i--) {
        const key = randomWord(random);
        run.set(key, { key, version: randomBelow(random, 1e6) });
      }
      return [...run.values()].sort((a, b) => order(a.key, b.key));
    });
    const wanted = new Map<string, Item>();
    for (const item of all.flat()) {
      const known = wanted.get(item.key);
      if (known === undefined || known.version < item.version) wanted.set(item.key, item);
    }
    const found: Item[] = [];
    let after: string | undefined;
    for (let pages = 0;; pages++) {
      assert(pages < 200, "it goes on");
      const behind = (key: string) => after === undefined || order(key, after) > 0;
      const runs = all.map((run): Run<Item> => {
        const rest = run.filter(({ key }) => behind(key));
        const items = rest.slice(0, 1 + randomBelow(random, 6));
        const ended = items.length === rest.length && randomBelow(random, 3) > 0;
        // Read up to its last item, though there is no more: nobody need know.
        const readTo = items.at(-1)?.key;
        if (ended || readTo === undefined) return { items, readTo: undefined, ended: true };
        return { items, readTo, ended };
      });
      const itemsMax = 1 + randomBelow(random, 8);
      const page = mergePage(
        runs,
        { reverse, itemsMax, bytesMax: 20, bytesOf: ({ key }) => key.length },
        (a, b) => b.version > a.version ? b : a,
      );
      assert(page !== undefined);
      assert(page.items.length <= itemsMax);
      assert(page.items.length <= 1 || page.items.reduce((n, { key }) => n + key.length, 0) <= 20);
      assert(page.items.length <= countReady(runs, reverse));
      found.push(...page.items);
      if (page.next === undefined) break;
      assert(behind(page.next), "each page gets on");
      after = page.next;
    }
    assertEquals(found, [...wanted.values()].sort((a, b) => order(a.key, b.key)));
  }
});

Deno.test("mergePage: nothing can be said while a run has not been read", () => {
  const limits = { reverse: false, itemsMax: 9, bytesMax: 9, bytesOf: () => 1 };
  const read: Run<Item> = { items: [{ key: "a", version: 1 }], readTo: undefined, ended: true };
  const unread: Run<Item> = { items: [], readTo: undefined, ended: false };
  assertEquals(mergePage([read, unread], limits, (a) => a), undefined);
  assertEquals(countReady([read, unread], false), 0);
  assertEquals(mergePage([read], limits, (a) => a), { items: read.items.slice(), next: undefined });
});

Deno.test("shareOf: about the share, never more than all", () => {
  assertEquals(shareOf(1_000, 1), 1_000);
  assertEquals(shareOf(1, 0.001), 1);
  assertEquals(shareOf(100, 1 / 256) <= 5, true);
  assertEquals(shareOf(1_000, 1 / 3) < 400, true);
});

Deno.test("PartitionSet: as text and back, of any size", () => {
  const random = new SeededRandom(8);
  for (const count of [1, 2, 8, 9, 256, 65_536]) {
    const set = new PartitionSet(count);
    const model = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const partition = randomBelow(random, count);
      if (randomBelow(random, 3) === 0) {
        set.delete(partition);
        model.delete(partition);
      } else {
        set.add(partition);
        model.add(partition);
      }
    }
    set.add(count);
    assertEquals([...PartitionSet.fromText(set.toText(), count)], [...model].sort((a, b) => a - b));
    assertEquals(set.size, model.size);
  }
  assertEquals(PartitionSet.all(300).size, 300);
  // Of a larger cluster than this: what there is of it.
  assertEquals(PartitionSet.fromText(PartitionSet.all(300).toText(), 9).size, 9);
});
