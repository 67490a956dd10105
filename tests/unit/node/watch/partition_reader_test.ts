/** Where a watcher stands after reading a partition in which others write meanwhile (docs/watch.md, V3, V4, V7). */
import { assert, assertEquals } from "@std/assert";
import type { PartitionFeed } from "../../../../node/watch/partition_feed.ts";
import { type PageRead, readPage } from "../../../../node/watch/partition_reader.ts";
import type { Entry } from "../../../../shared/base/entry.ts";
import { BEGINNING, type WatchPosition } from "../../../../shared/watch/watch_position.ts";

function entry(key: string, seq: number): Entry {
  const value = new Uint8Array(0);
  return {
    key,
    value,
    seq,
    term: 1,
    flags: 0,
    timestampMs: 1,
    expiresAtMs: 0,
    contentType: undefined,
  };
}

/** A partition whose pages are given, one write of another client between asking for a page and getting it. */
class Partition {
  readonly state = { lastSeq: 5, watermark: 0 };
  readonly asked: { after: string | undefined; beyondSeq: number | undefined }[] = [];
  committedTo = Infinity;
  readonly waitedFor: number[] = [];
  readonly #pages: Entry[][];

  constructor(...pages: Entry[][]) {
    this.#pages = pages;
  }

  get feed(): PartitionFeed {
    const scan = (after: string | undefined, options: { beyondSeq?: number }) => {
      const asOfSeq = this.state.lastSeq++;
      this.asked.push({ after, beyondSeq: options.beyondSeq });
      const entries = this.#pages.shift() ?? [];
      const next = this.#pages.length > 0 ? entries.at(-1)?.key : undefined;
      return Promise.resolve({ entries, next, asOfSeq });
    };
    return {
      lineage: 3,
      primary: { store: { state: this.state, scan }, recent: { since: () => undefined } },
    } as unknown as PartitionFeed;
  }

  read(position: WatchPosition): Promise<PageRead> {
    return readPage(this.feed, position, () => true, {
      wallMs: () => 10,
      whenCommitted: (seq) => {
        this.waitedFor.push(seq);
        return Promise.resolve(seq <= this.committedTo);
      },
    });
  }
}

function positionOf(read: PageRead): WatchPosition {
  assert(typeof read === "object", String(read));
  return read.position;
}

Deno.test("readPage: the watcher goes on from where reading began, with a mark up to what it may have been told (rule V4)", async () => {
  const partition = new Partition([entry("a", 2), entry("b", 6)]);
  const read = await partition.read(BEGINNING);
  assertEquals(positionOf(read), { lineage: 3, seq: 5, upto: 6 });
  assert(typeof read === "object");
  assertEquals(read.entries.map(({ key }) => key), ["a", "b"]);
});

Deno.test("readPage: over several pages the base is that of the first, the mark that of the last (rule V4)", async () => {
  const partition = new Partition([entry("a", 2)], [entry("b", 3)], [entry("c", 7)]);
  let position = positionOf(await partition.read(BEGINNING));
  assertEquals(position, {
    lineage: 3,
    seq: 0,
    upto: 6,
    reading: { base: 5, after: "a", whole: true },
  });
  position = positionOf(await partition.read(position));
  assertEquals(position.reading, { base: 5, after: "b", whole: true });
  position = positionOf(await partition.read(position));
  assertEquals(position, { lineage: 3, seq: 5, upto: 8 });
  assertEquals(partition.asked.map(({ after }) => after), [undefined, "a", "b"]);
});

Deno.test("readPage: of what was written beyond a seq, the same", async () => {
  const partition = new Partition([entry("b", 6)]);
  assertEquals(positionOf(await partition.read({ lineage: 3, seq: 4, upto: 4 })), {
    lineage: 3,
    seq: 5,
    upto: 6,
  });
  assertEquals(partition.asked, [{ after: undefined, beyondSeq: 4 }]);
});

Deno.test("readPage: tells nothing before all that it may show is committed (rule V3)", async () => {
  const partition = new Partition([entry("a", 6)]);
  partition.committedTo = 5;
  assertEquals(await partition.read(BEGINNING), "refused");
  assertEquals(partition.waitedFor, [6]);
});

Deno.test("readPage: if tombstones beyond the seq were dropped, the watcher begins anew (rule V7)", async () => {
  const partition = new Partition([entry("a", 6)]);
  partition.state.watermark = 4;
  assertEquals(await partition.read({ lineage: 3, seq: 3, upto: 3 }), "reset");
  assertEquals(positionOf(await partition.read({ lineage: 3, seq: 4, upto: 4 })).seq, 5);
});
