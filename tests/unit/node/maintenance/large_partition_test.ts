/**
 * A database whose keys lie together may be a large part of what a node has, in one partition. Whatever the node does with
 * that by itself (counting, expiry, scrubbing, digests, a new replica, a drop) it does in pieces of a bounded length, and
 * others are served in between.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  keyPrefixOf,
  NO_DATABASES,
  withDatabase,
  withoutDatabase,
} from "../../../../shared/cluster/databases.ts";
import { DROPPED_ROWS_PER_STEP } from "../../../../shared/limits/cluster.ts";
import { SCRUB_INTERVAL_MS } from "../../../../shared/limits/replication.ts";
import {
  EXPIRED_PER_TURN_MAX,
  PASS_PAGE_BYTES,
  PASS_PAGE_ROWS,
} from "../../../../shared/limits/storage.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const ROWS = 6 * PASS_PAGE_ROWS;
const LIFE_MS = 60_000;
/** What a node may change in one step, and the state records that go with it. */
const CHANGES_MAX = 2 * Math.max(DROPPED_ROWS_PER_STEP, EXPIRED_PER_TURN_MAX) + 8;

/** The longest reads and writes of a host's disk since it was last asked. */
class Meter {
  reads = 0;
  rows = 0;
  changes = 0;

  constructor(cluster: NodeCluster, id: string) {
    const { storage } = cluster.host(id);
    const range = storage.range.bind(storage);
    storage.range = async (asked) => {
      assert(asked.rowsMax <= PASS_PAGE_ROWS, `a read of up to ${asked.rowsMax} rows`);
      assert(asked.bytesMax <= PASS_PAGE_BYTES, `a read of up to ${asked.bytesMax} bytes`);
      const rows = await range(asked);
      this.reads++;
      this.rows = Math.max(this.rows, rows.length);
      return rows;
    };
    const write = storage.write.bind(storage);
    storage.write = (changes, sync, done) => {
      this.changes = Math.max(this.changes, changes.length);
      write(changes, sync, done);
    };
  }

  take(): { reads: number; rows: number; changes: number } {
    const { reads, rows, changes } = this;
    this.reads = this.rows = this.changes = 0;
    return { reads, rows, changes };
  }
}

Deno.test("a large partition: what a node does with it by itself comes in bounded pieces", async () => {
  const cluster = new NodeCluster({ nodes: 2, replicas: 1 });
  const meters = ["n1", "n2"].map((id) => new Meter(cluster, id));
  const [first, second] = meters;
  assert(first !== undefined && second !== undefined);
  await cluster.startAll();
  const list = withDatabase(NO_DATABASES, { name: "a", together: true });
  cluster.setDatabases(list);
  const prefix = keyPrefixOf({ number: 1, together: true });
  for (let i = 0; i < ROWS; i++) {
    const request = put(`${prefix}${String(i).padStart(5, "0")}`, "v");
    cluster.node("n1").execute(i % 2 === 0 ? { ...request, ttl_ms: LIFE_MS } : request, () => {});
    if (i % 100 === 99) await cluster.run(10);
  }
  await cluster.run(500);
  const store = () => cluster.node("n1").partition(0)?.store;
  assertEquals(store()?.state.count, ROWS);

  // A process that starts again counts the rows, and finds those that expire.
  cluster.crash("n1");
  await cluster.start("n1");
  first.take();
  await cluster.run(2_000);
  assertEquals(store()?.databases.of(1).keys, ROWS);
  assertEquals(store()?.databases.of(1).expiring, ROWS / 2);
  const counted = first.take();
  assert(counted.reads >= ROWS / PASS_PAGE_ROWS, `${counted.reads} reads`);

  // The scrubber compares all rows with their digest.
  await cluster.run(2 * SCRUB_INTERVAL_MS);
  assert((store()?.liveBytes ?? 0) > 0, "it was read through");
  assert(first.take().reads >= ROWS / PASS_PAGE_ROWS);

  // A new replica gets all of it.
  cluster.addLearner("n2");
  await cluster.run(10_000);
  assertEquals(cluster.node("n2").partition(0)?.store.state.count, ROWS);
  assert(first.take().reads >= ROWS / PASS_PAGE_ROWS);
  const filled = second.take();
  assert(filled.changes <= CHANGES_MAX, `a write of ${filled.changes} changes`);

  // Half of it expires at about the same time.
  await cluster.run(LIFE_MS);
  assertEquals(store()?.databases.of(1).keys, ROWS / 2);
  const swept = first.take();
  assert(swept.changes <= CHANGES_MAX, `a write of ${swept.changes} changes`);

  // The rest is dropped.
  cluster.setDatabases(withoutDatabase(list, "a"));
  await cluster.run(5_000);
  assertEquals(store()?.databases.of(1).keys, 0);
  const dropped = first.take();
  assert(dropped.changes <= CHANGES_MAX, `a write of ${dropped.changes} changes`);
});
