/**
 * FLUSHALL, KEYS and SCAN of 1,500 values of 64 KiB in 256 partitions did not end in a minute: the first rows
 * of all partitions used up what a page may look at, so that each page had one key or two, and read all of
 * those rows anew. Found by use. Work is counted here in rows, not in time.
 */
import { assert, assertEquals } from "@std/assert";
import type { NodeScanPage, NodeScanRequest } from "../../node/scans/scan_call.ts";
import { NodeScans } from "../../node/scans/node_scans.ts";
import type { Primary } from "../../node/replication/primary.ts";
import type { ScanOptions } from "../../node/storage/scan_page.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import {
  DELETES_PAGE_KEYS,
  SCAN_ANSWER_PART,
  SCAN_BYTES_MAX,
  SCAN_LOOKED_BYTES_MAX,
  SCAN_OVERDUE_PART,
  SCAN_READS_MAX,
} from "../../shared/limits/scans.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { deleteMatching, type DeletionEnd } from "../../shared/database/delete_matching.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const PARTITIONS = 256;
const TIMEOUT_MS = 4_000;

/** Primaries of partitions whose rows are counted when they are read. All values are one and the same. */
class CountedPartitions {
  readonly clock = new ManualClock();
  readonly work = new WorkScheduler(this.clock);
  readonly scans: NodeScans;
  readonly partitions = PartitionSet.all(PARTITIONS);
  rows = 0;
  pages = 0;
  /** What reading a row takes, by the clock. */
  rowMs = 0;
  /** Changes of each partition. */
  readonly changes = new Array<number>(PARTITIONS).fill(0);
  /** A read of this partition fails. */
  failing: number | undefined;
  readonly #entries: Entry[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #primaries: Primary[];

  constructor(keys: readonly string[], valueBytes: number) {
    const value = new Uint8Array(valueBytes);
    for (const key of keys.toSorted(compareKeys)) {
      const entry = { key, seq: 1, term: 1, flags: 0, timestampMs: 1, expiresAtMs: 0, value };
      this.#entries[partitionOf(key, PARTITIONS)]?.push(entry);
    }
    this.#primaries = this.#entries.map((entries, partition) => this.#primary(entries, partition));
    this.scans = new NodeScans({
      work: this.work,
      nowMs: () => this.clock.monotonicMs(),
      wallMs: () => this.clock.wallMs(),
      primary: (partition) => this.#primaries[partition],
      databases: () => undefined,
      onDamaged: () => false,
    });
  }

  /** What a scan asks of a primary. */
  #primary(entries: Entry[], partition: number): Primary {
    const { changes } = this;
    const store = {
      get changes() {
        return changes[partition];
      },
      get state() {
        return { count: entries.length, tombstones: 0 };
      },
      get: (key: string) => entries.find((entry) => entry.key === key),
      scan: async (after: string | undefined, options: ScanOptions) => {
        const { rowsMax, bytesMax, reverse, end } = options;
        if (this.rowMs > 0) await new Promise<void>((go) => this.clock.setTimer(this.rowMs, go));
        if (partition === this.failing) throw new KvError("storage_failed", "as the test says");
        const order = reverse === true ? entries.toReversed() : entries;
        const sign = reverse === true ? -1 : 1;
        const page: Entry[] = [];
        let bytes = 0;
        let more = false;
        for (const entry of order) {
          if (end !== undefined && compareKeys(entry.key, end) >= 0) continue;
          if (after !== undefined && sign * compareKeys(entry.key, after) <= 0) continue;
          more = page.length >= rowsMax || bytes >= bytesMax;
          if (more) break;
          page.push(entry);
          bytes += entry.value.length;
        }
        this.rows += page.length;
        return { entries: page, next: more ? page.at(-1)?.key : undefined };
      },
    };
    const whenStable: Primary["whenStable"] = (_timed, _reply, then) => then();
    return { store, whenStable } as unknown as Primary;
  }

  remove(key: string): void {
    const entries = this.#entriesOf(key);
    const at = entries.findIndex((entry) => entry.key === key);
    if (at >= 0) entries.splice(at, 1);
  }

  add(key: string): void {
    const entries = this.#entriesOf(key);
    const value = new Uint8Array(1);
    entries.push({ key, seq: 2, term: 1, flags: 0, timestampMs: 1, expiresAtMs: 0, value });
    entries.sort((a, b) => compareKeys(a.key, b.key));
  }

  /** Of the key's partition, which changes. */
  #entriesOf(key: string): Entry[] {
    const partition = partitionOf(key, PARTITIONS);
    this.changes[partition] = (this.changes[partition] ?? 0) + 1;
    return this.#entries[partition] ?? [];
  }

  get left(): number {
    return this.#entries.reduce((sum, { length }) => sum + length, 0);
  }

  scan(
    request: Partial<NodeScanRequest>,
    done: (result: NodeScanPage | Message<"error">) => void,
  ): void {
    this.pages++;
    const { partitions } = this;
    this.scans.scan({ limit: 1_000, partitions, ...request }, TIMEOUT_MS, done);
  }

  async page(request: Partial<NodeScanRequest>): Promise<NodeScanPage> {
    let result: NodeScanPage | Message<"error"> | undefined;
    this.scan(request, (page) => result = page);
    while (result === undefined) await this.clock.run(this.rowMs);
    if ("req_type" in result) throw new Error(result.message);
    return result;
  }

  /** All pages. */
  async all(request: Partial<NodeScanRequest>): Promise<string[]> {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await this.page({ ...request, after });
      assertEquals(page.covered.size, PARTITIONS);
      found.push(...page.entries.map(({ key }) => key));
      after = page.next;
    } while (after !== undefined);
    return found;
  }
}

function named(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `k${String(i).padStart(6, "0")}`);
}

for (const bytes of [100, 4 << 10, 64 << 10, 1 << 20, 8 << 20]) {
  Deno.test(`keys of values of ${bytes} bytes are read a few times at most, whatever the page`, async () => {
    const keys = named(3_000);
    for (const limit of [256, 1_000, 10_000]) {
      for (const reverse of [false, true]) {
        const partitions = new CountedPartitions(keys, bytes);
        const found = await partitions.all({ limit, reverse });
        assertEquals(found, reverse ? keys.toReversed() : keys);
        // A page that is shorter than there are partitions reads a first row of each.
        const { rows, pages } = partitions;
        assert(rows < 5 * keys.length, `${rows} rows for ${keys.length} keys in ${pages} pages`);
        const read = keys.length * bytes / SCAN_LOOKED_BYTES_MAX;
        const pagesMax = 2 + keys.length / Math.min(limit, PARTITIONS) + read;
        assert(pages <= pagesMax, `${pages} pages for ${keys.length} keys`);
      }
    }
  });
}

Deno.test("a page of long values reads little more than a row of each partition", async () => {
  const keys = named(3_000);
  const bytes = 64 << 10;
  const partitions = new CountedPartitions(keys, bytes);
  const page = await partitions.page({ values: true, limit: 1_000 });
  assertEquals(page.entries.length, Math.floor(SCAN_BYTES_MAX / (bytes + 72)));
  assert(partitions.rows < 1.5 * PARTITIONS, `${partitions.rows} rows`);
});

Deno.test("a scan with long values reads each row a few times, though a page has few of them", async () => {
  const keys = named(1_500);
  for (const reverse of [false, true]) {
    const partitions = new CountedPartitions(keys, 64 << 10);
    const found = await partitions.all({ values: true, limit: 1_000, reverse });
    assertEquals(found, reverse ? keys.toReversed() : keys);
    const { rows, pages } = partitions;
    assert(pages >= keys.length / 16, `${pages} pages`);
    assert(rows < 3 * keys.length, `${rows} rows were read for ${keys.length} keys`);
  }
});

Deno.test("what is written and deleted between two pages of long values shows in the second", async () => {
  const keys = named(1_500);
  const partitions = new CountedPartitions(keys, 64 << 10);
  const first = await partitions.page({ values: true });
  const next = first.next ?? "";
  const following = keys.filter((key) => key > next);
  const [gone = "", stays = ""] = following;
  partitions.remove(gone);
  partitions.add(`${stays}+`);
  const second = await partitions.page({ values: true, after: next });
  const found = second.entries.map(({ key }) => key).slice(0, 3);
  assertEquals(found, [stays, `${stays}+`, following[2]]);
  // Also in a scan that begins anew, and in one of other bounds.
  assertEquals((await partitions.page({ values: true })).entries[0]?.key, keys[0]);
  const bounded = await partitions.page({ values: true, after: next, end: `${stays}+` });
  assertEquals(bounded.entries.map(({ key }) => key), [stays]);
});

Deno.test("a deletion of everything reads each row a few times, in few pages", async () => {
  for (const [count, bytes] of [[1_500, 64 << 10], [20_000, 100]] as const) {
    const partitions = new CountedPartitions(named(count), bytes);
    const { clock, work } = partitions;
    const deps = {
      clock,
      work,
      database: {
        scan: (
          request: { after?: string | undefined; limit: number },
          _timeoutMs: number,
          done: (
            page: { entries: Entry[]; next: string | undefined } | Message<"error">,
          ) => void,
        ) => {
          partitions.scan(request, (page) => {
            if ("req_type" in page) done(page);
            else done({ entries: [...page.entries], next: page.next });
          });
          return () => {};
        },
        execute: (
          request: { req_type: string; key: string },
          _timeoutMs: number,
          done: (reply: Message<"ack">) => void,
        ) => {
          partitions.remove(request.key);
          done({ req_type: "ack" });
        },
      },
    };
    let end: DeletionEnd | undefined;
    deleteMatching(deps, { timeoutMs: TIMEOUT_MS, until: "end" }, (is) => end = is);
    while (end === undefined) await clock.run(0);
    assertEquals([end.deleted, end.error, partitions.left], [count, undefined, 0]);
    const { rows, pages } = partitions;
    assert(rows < 3 * count, `${rows} rows were read for ${count} keys`);
    assert(pages <= 3 + count / Math.min(512, DELETES_PAGE_KEYS), `${pages} pages`);
  }
});

Deno.test("reads that take too long end a page early, and it speaks for those that were read", async () => {
  const partitions = new CountedPartitions(named(3_000), 8 << 20);
  // So many that not even the first row of each can be read in time.
  partitions.rowMs = 2 * TIMEOUT_MS * SCAN_READS_MAX / PARTITIONS;
  const beganMs = partitions.clock.monotonicMs();
  const page = await partitions.page({});
  const tookMs = partitions.clock.monotonicMs() - beganMs;
  assert(tookMs <= SCAN_OVERDUE_PART * TIMEOUT_MS + partitions.rowMs, `${tookMs} ms`);
  assert(tookMs > SCAN_ANSWER_PART * TIMEOUT_MS);
  assert(page.covered.size > 0 && page.covered.size < PARTITIONS, `${page.covered.size}`);
  assert(page.entries.length > 0 && page.next !== undefined);
  for (const { key } of page.entries) assert(page.covered.has(partitionOf(key, PARTITIONS)));
});

Deno.test("after a read that failed nothing is read behind the answer", async () => {
  const partitions = new CountedPartitions(named(3_000), 100);
  partitions.rowMs = 1;
  partitions.failing = 3;
  let result: NodeScanPage | Message<"error"> | undefined;
  partitions.scan({}, (is) => result = is);
  while (result === undefined) await partitions.clock.run(1);
  assert("req_type" in result && result.code === "storage_failed", JSON.stringify(result));
  const { rows } = partitions;
  await partitions.clock.run(TIMEOUT_MS);
  assertEquals(partitions.rows, rows);
});
