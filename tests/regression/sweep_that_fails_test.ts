/**
 * A sweep for expired entries whose reads failed was tried again for ever, with nothing in `health` or
 * `stats`; damage that it met was not taken for damage. Found when the kind of suspect S1 was looked for.
 */
import { assert, assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a sweep that fails again and again is in stats, until it succeeds", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.ask("n1", { ...put("k", "x"), ttl_ms: 1_000 });
  // A node that starts has to look for what expires.
  await cluster.run(100);
  cluster.crash("n1");
  await cluster.start("n1");
  const { storage } = cluster.host("n1");
  const range = storage.range.bind(storage);
  storage.range = () => Promise.reject(new KvError("storage_failed", "the disk says no"));
  const sweeps = () => {
    const { retries } = cluster.node("n1").stats() as { retries: { what: string }[] };
    return retries.filter(({ what }) => what === "look for expired entries").length;
  };
  await cluster.run(20_000);
  assert(sweeps() === 1, "it is shown");
  assertEquals(cluster.reports, [], "and costs no replica");
  storage.range = range;
  await cluster.run(20_000);
  assertEquals([sweeps(), cluster.node("n1").stats().expired], [0, 1]);
});
