/**
 * A node is stopped, and more is written and deleted meanwhile than its primaries remember. When it is back, it is sent what it
 * missed, as the journal tells, and nothing else; and it has all of it.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { RECENT_WRITES_MAX } from "../../../shared/limits/replication.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const PARTITIONS = 2;
const KEYS = 8_000;
/** Keys that are there before, and deleted meanwhile; of each partition more than are remembered. */
const DELETED = 3_000;
const WRITTEN = 3_000;
const AT_ONCE = 500;

Deno.test("a node that was away is sent what it missed", async (t) => {
  assertGreater((DELETED + WRITTEN) / PARTITIONS, 2 * RECENT_WRITES_MAX);
  await using cluster = await TestCluster.start({
    nodes: 3,
    replicationFactor: 3,
    partitions: PARTITIONS,
  });
  await using kv = await cluster.connect();
  const forAll = async (from: number, to: number, what: (key: string) => Promise<unknown>) => {
    for (let i = from; i < to; i += AT_ONCE) {
      const count = Math.min(AT_ONCE, to - i);
      await Promise.all(Array.from({ length: count }, (_, j) => what(`key${i + j}`)));
    }
  };
  await forAll(0, KEYS, (key) => kv.put(key, "before"));
  // Each write tells the followers that those before it are committed.
  for (let i = 0; i < 50; i++) await kv.put(`last${i}`, "before");
  const { partitions } = await cluster.whole({ nodes: 3 });

  // One that is primary of nothing: no primary changes when it stops, so the others' lists of writes go on.
  const primaries = await Promise.all(partitions.map(({ primary }) => cluster.indexOf(primary)));
  const away = [0, 1, 2].find((index) => !primaries.includes(index)) ?? 2;
  const others = [0, 1, 2].filter((index) => index !== away);
  const statsOfOthers = async () => {
    const stats = await Promise.all(others.map((index) => cluster.stats(index)));
    return (name: string) => stats.reduce((total, s) => total + Number(s[name]), 0);
  };
  const before = await statsOfOthers();
  await t.step("much is written and deleted while it is away", async () => {
    // In good order, so that it has noted on its disk that it has all of this: the number of entries that it is sent is certain.
    assertEquals((await cluster.node(away).stop()).code, 0);
    await cluster.waitFor(
      "it is out of all sets",
      (map) => map.partitions.every(({ inSync }) => inSync.length === 2),
    );
    await forAll(0, DELETED, (key) => kv.delete(key));
    await forAll(DELETED, DELETED + WRITTEN, (key) => kv.put(key, "after"));
  });

  await t.step("it is back, and nothing but that was sent", async () => {
    await cluster.restart(away);
    await cluster.whole({ nodes: 3 });
    const sum = await statsOfOthers();
    const sent = sum("resynced_entries");
    console.log(`sent ${sent} of ${KEYS} entries, ${DELETED + WRITTEN} were missed`);
    assertEquals(sum("resynced_full"), 0);
    // On a busy machine one of the others may have been taken for lagging. What it got then did not come in order.
    const resynced = sum("resynced_replicas") - before("resynced_replicas");
    if (resynced === PARTITIONS) assertEquals(sum("resynced_by_journal"), PARTITIONS);
    // Besides, there are the entries of client sessions, one for each request that was under way at a time.
    assert(sent >= DELETED + WRITTEN && sent <= DELETED + WRITTEN + 2 * AT_ONCE, `${sent}`);
  });

  await t.step("it has everything: the others' deaths find it so", async () => {
    await cluster.crash(others[0] ?? 0);
    let wrong = 0;
    await forAll(0, KEYS, async (key) => {
      const i = Number(key.slice(3));
      const wanted = i < DELETED ? undefined : i < DELETED + WRITTEN ? "after" : "before";
      const text = await kv.getText(key);
      if (text !== wanted) wrong++;
    });
    assertEquals(wrong, 0);
  });
});
