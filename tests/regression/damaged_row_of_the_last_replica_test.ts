/**
 * The last replica of a partition had one damaged row: what a transaction over several partitions had decided. It was read
 * again 600 times a second, with a line of the log each time, since only what another node can take over counted as tried
 * again. And when its node had started anew, none of the partition's transaction rows counted: the primary told those who
 * had taken part that the transaction was aborted, so they dropped what had been acknowledged.
 * Found by the simulation (seed 1600019: a million events in three minutes).
 */
import { assert, assertEquals } from "@std/assert";
import type { Node } from "../../node/node.ts";
import type { Message, PlainRequest } from "../../shared/wire/messages.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { STATUS_REPEAT_MS } from "../../shared/limits/requests.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const PARTITIONS = 4;

function keyIn(partition: number, name: string): string {
  for (let i = 0;; i++) if (partitionOf(`${name}${i}`, PARTITIONS) === partition) return name + i;
}

const transaction = (...requests: PlainRequest[]): Message<"transaction"> => ({
  req_type: "transaction",
  key: requests[0]?.key ?? "",
  requests,
});

async function valueOf(cluster: NodeCluster, key: string): Promise<string> {
  const reply = await cluster.ask("n1", { ...get(key), timeout_ms: 200 });
  return reply.req_type === "data" ? String(reply.message) : `${(reply as { code?: string }).code}`;
}

/** Flips a bit of the value of the first row whose key has this text. */
async function damage(cluster: NodeCluster, text: string): Promise<() => void> {
  const { storage } = cluster.host("n1");
  const [from, to] = [new Uint8Array(0), new Uint8Array(8).fill(0xff)];
  const rows = await storage.range({ from, to, rowsMax: Infinity, bytesMax: Infinity });
  const latin1 = new TextDecoder("latin1");
  const row = rows.find(([key]) => latin1.decode(key).includes(text));
  assert(row !== undefined, "the row is there");
  const [key, value] = [row[0].slice(), row[1].slice()];
  const flipped = value.slice();
  flipped[value.length - 1] = (flipped[value.length - 1] ?? 0) ^ 1;
  const write = (bytes: Uint8Array) => storage.write([{ key, value: bytes }], true, () => {});
  write(flipped);
  return () => write(value);
}

/** Nobody hears what was decided. */
function silenceDecisions(node: Node): void {
  node.route = (request, _timeoutMs, done) => {
    if (request.req_type === "finish_part") {
      done({ req_type: "error", code: "unavailable", message: "nobody is there" });
    } else node.execute(request, done);
  };
}

Deno.test("a decision that cannot be read is not taken for none, and the rest of the rows count", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: PARTITIONS });
  await cluster.startAll();
  silenceDecisions(cluster.node("n1"));
  const [lost, lostPart] = [keyIn(0, "lost"), keyIn(1, "lost")];
  const [kept, keptPart] = [keyIn(0, "kept"), keyIn(2, "kept")];
  const first = await cluster.ask("n1", transaction(put(lost, "1"), put(lostPart, "1")));
  assertEquals(first.req_type, "result");
  await cluster.run(50);
  cluster.crash("n1");
  const heal = await damage(cluster, "txn/d/");
  await cluster.start("n1");
  await cluster.run(500);
  silenceDecisions(cluster.node("n1"));
  const second = await cluster.ask("n1", transaction(put(kept, "2"), put(keptPart, "2")));
  assertEquals(second.req_type, "result");
  await cluster.run(50);
  cluster.crash("n1");
  await cluster.start("n1");
  let reads = 0;
  const { storage } = cluster.host("n1");
  const range = storage.range.bind(storage);
  storage.range = (wanted) => {
    reads++;
    return range(wanted);
  };
  await cluster.run(10_000);
  assert(reads < 500, `${reads} reads in ten seconds`);

  assertEquals(await valueOf(cluster, keptPart), "2", "another decision is found");
  assertEquals(await valueOf(cluster, lostPart), "timeout", "nobody says that it was aborted");
  const retries = cluster.node("n1").stats().retries as { what: string }[];
  assert(retries.some(({ what }) => what === "ask partition 0 what has become of a transaction"));

  heal();
  await cluster.run(4 * STATUS_REPEAT_MS);
  assertEquals(await valueOf(cluster, lostPart), "1");
});

Deno.test("an intent that cannot be read is not taken for done", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: PARTITIONS });
  await cluster.startAll();
  silenceDecisions(cluster.node("n1"));
  const [leader, part] = [keyIn(0, "a"), keyIn(1, "b")];
  await cluster.ask("n1", transaction(put(leader, "1"), put(part, "1")));
  await cluster.run(50);
  cluster.crash("n1");
  const heal = await damage(cluster, "txn/i/");
  await cluster.start("n1");
  await cluster.run(5_000);
  heal();
  await cluster.run(4 * STATUS_REPEAT_MS);
  assertEquals(await valueOf(cluster, part), "1", "the decision has waited for it");
});
