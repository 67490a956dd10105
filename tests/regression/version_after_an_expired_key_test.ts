/**
 * A transaction that wrote over a key that had expired gave the deletion of the old value a greater version than the new
 * value, if the version was known before (a part of a transaction over several partitions, or a transaction `as_one`): who
 * watched the key was told of `expired`, and then of a value with a lower version. Found by reading the rules X8 and W10.
 */
import { assert, assertEquals } from "@std/assert";
import { versionOf } from "../../shared/base/entry.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { changeOf } from "../../shared/watch/watch_event.ts";
import type { Message, PlainRequest } from "../../shared/wire/messages.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

const PARTITIONS = 4;

function keyIn(partition: number, name: string): string {
  for (let i = 0;; i++) {
    const key = `${name}${i}`;
    if (partitionOf(key, PARTITIONS) === partition) return key;
  }
}

const A = keyIn(0, "a");
const B = keyIn(1, "b");

/** What is told of a key from now on, as type and version. */
function watchKey(cluster: NodeCluster, key: string): () => readonly [string, number][] {
  const partition = partitionOf(key, PARTITIONS);
  const { watch } = cluster.node("n1");
  const told: [string, number][] = [];
  const ask = (positions: Parameters<typeof watch.poll>[0]["positions"]) =>
    watch.poll(
      { selection: { keys: [key] }, positions, isAbandoned: () => false },
      60_000,
      (is) => {
        assert("entries" in is);
        for (const entry of is.entries) told.push([changeOf(entry), versionOf(entry)]);
        ask(is.positions);
      },
    );
  ask(new Map([[partition, undefined]]));
  return () => told;
}

async function overExpired(requests: PlainRequest[], more: Partial<Message<"transaction">> = {}) {
  const cluster = new NodeCluster({ nodes: 1, partitions: PARTITIONS });
  await cluster.startAll();
  await cluster.ask("n1", { ...put(B, "old"), ttl_ms: 10 });
  const told = watchKey(cluster, B);
  await cluster.run(20);
  assertEquals(told(), [], "the node has not swept it away yet");
  const reply = await cluster.ask("n1", { req_type: "transaction", key: A, requests, ...more });
  assertEquals(reply.req_type, "result", JSON.stringify(reply));
  await cluster.run(1_000);
  return told();
}

for (
  const [name, requests, more] of [
    [
      "a part of a transaction over partitions",
      [put(A, "1"), { req_type: "increment", key: B }],
      {},
    ],
    [
      "a transaction with one version",
      [put(keyIn(1, "other"), "1"), { req_type: "increment", key: B }],
      { key: B, as_one: true },
    ],
  ] as const satisfies readonly (readonly [string, PlainRequest[], object])[]
) {
  Deno.test(`${name}: a value has a greater version than the end of the one that had expired (rules X8, W10)`, async () => {
    const told = await overExpired([...requests], more);
    const versions = told.map(([, version]) => version);
    assertEquals(told.at(-1)?.[0], "put");
    assertEquals(versions, versions.toSorted((a, b) => a - b), JSON.stringify(told));
    assertEquals(new Set(versions).size, versions.length);
  });
}
