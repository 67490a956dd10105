/**
 * Scans of a whole cluster while a node dies and another joins.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { putAll } from "../../support/data/bulk.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const KEYS = 20_000;
const PATIENT = { timeoutMs: 60_000 };

Deno.test("cluster: a scan gives every key once and in order, while a node is killed and another joins", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  const keys = Array.from({ length: KEYS }, (_, i) => `key:${String(i).padStart(6, "0")}`);
  await putAll(kv, new Map(keys.map((key) => [key, `value of ${key}`])));
  const joins: Promise<number>[] = [];
  const decoder = new TextDecoder();

  await t.step("forwards, with values", async () => {
    const found: string[] = [];
    for await (const { key, value } of kv.scan(PATIENT)) {
      found.push(key);
      assertEquals(decoder.decode(value), `value of ${key}`);
      if (found.length === 5_000) await cluster.crash(0);
      if (found.length === 9_000) joins.push(cluster.addNode());
    }
    assertEquals(found, keys);
    assertEquals(await kv.count(PATIENT), KEYS);
  });

  await t.step(
    "backwards, while the replicas move to the new node and the dead one comes back",
    async () => {
      await Promise.all(joins);
      const found: string[] = [];
      for await (const key of kv.keys({ ...PATIENT, reverse: true })) {
        found.push(key);
        if (found.length === 4_000) await cluster.restart(0);
        if (found.length === 12_000) await cluster.crash(1);
      }
      assertEquals(found, keys.toReversed());
      assertEquals(await kv.count({ ...PATIENT, prefix: "key:0199" }), 100);
    },
  );

  await t.step("the same of any node, and of the coordinator", async () => {
    for (const whom of [2, 3, "coordinator"] as const) {
      const found: unknown[] = [];
      let after: unknown;
      do {
        const reply = await cluster.ask(whom, {
          req_type: "scan",
          prefix: "key:00",
          limit: 3_000,
          timeout_ms: 60_000,
          ...(after === undefined ? {} : { after }),
        }, 60_000);
        assert(Array.isArray(reply.entries), JSON.stringify(reply));
        for (const entry of reply.entries) found.push(entry[0]);
        after = reply.next;
      } while (after !== undefined);
      assertEquals(found, keys.slice(0, 10_000));
      const count = { req_type: "count", start: "key:010000", timeout_ms: 60_000 };
      assertEquals((await cluster.ask(whom, count, 60_000)).result, 10_000);
    }
  });

  await t.step("what is deleted is gone", async () => {
    const progress: number[] = [];
    const deleted = await kv.deleteMatching({ prefix: "key:01" }, {
      ...PATIENT,
      onProgress: (count) => void progress.push(count),
    });
    assertEquals(deleted, 10_000);
    assertEquals(progress.at(-1), 10_000);
    assertEquals(await kv.count(PATIENT), 10_000);
    assertEquals(await Array.fromAsync(kv.keys({ ...PATIENT, prefix: "key:01" })), []);
    const last = kv.keys({ ...PATIENT, reverse: true, limit: 1 });
    assertEquals(await Array.fromAsync(last), ["key:009999"]);
  });
});
