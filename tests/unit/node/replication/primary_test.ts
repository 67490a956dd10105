import { assertEquals } from "@std/assert";
import { HANDOVER_TIMEOUT_MS } from "../../../../shared/limits/replication.ts";
import type { PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { IntentTable } from "../../../../node/transactions/intent_table.ts";
import { Primary } from "../../../../node/replication/primary.ts";
import { configOf, entry, RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** A primary of its own replica alone, or of others too, which say nothing. */
async function setUp(config: PartitionConfig = configOf(["n1"])) {
  const node = new RecordingNode();
  const primary = new Primary(
    node.ports,
    node.store,
    node.recent,
    config,
    1,
    new IntentTable(node.store),
  );
  node.onSynced = (seq) => primary.onSynced(seq);
  await node.settle();
  const ask = (request: KeyRequest) => {
    const name = `${request.req_type} ${request.key}`;
    primary.execute(
      request,
      (reply: Reply) =>
        node.lines.push(`${name}: ${reply.req_type === "error" ? reply.code : reply.req_type}`),
    );
  };
  return { node, primary, ask };
}

/** n2 says that it has nothing, and acknowledges what it is sent. */
function bringLevel(primary: Primary) {
  const stream = primary.stream("n2");
  if (stream === undefined) throw new Error("there is a stream");
  const ids = { p: 0, term: 1, stream: stream.stream };
  stream.onInfo({
    req_type: "resync_info",
    ...ids,
    last_term: 0,
    commit: 0,
    last: 0,
    unacknowledged: [],
  });
  stream.onAppended(stream.stream, 0);
}

const put = (key: string): KeyRequest => ({ req_type: "put", key, value: "v" });

Deno.test("Primary: serves alone as soon as its term is on its disk", async () => {
  const node = new RecordingNode();
  const primary = new Primary(
    node.ports,
    node.store,
    node.recent,
    configOf(["n1"]),
    1,
    new IntentTable(node.store),
  );
  node.onSynced = (seq) => primary.onSynced(seq);
  assertEquals(primary.phase, "resyncing");
  await node.settle();
  assertEquals([primary.phase, node.store.state.term], ["serving", 1]);
});

Deno.test("Primary in memory: a write is answered at once if no other replica is to have it, and nobody watches", async () => {
  const { node, primary, ask } = await setUp();
  node.storage.volatile = true;
  ask(put("a"));
  assertEquals(node.lines, ["put a: ack"]);
  assertEquals([primary.inFlightCount, node.store.state.commitSeq], [0, 1]);
  let told = 0;
  primary.observer = { committed: () => told++, advanced: () => told++ };
  ask(put("b"));
  ask(put("c"));
  assertEquals([node.lines.length, primary.inFlightCount], [1, 2]);
  node.clock.settle();
  assertEquals([node.lines.length, told], [3, 3]);
});

Deno.test("Primary in memory: a write that another replica must have is answered when it has it", async () => {
  const { node, primary, ask } = await setUp(configOf(["n1", "n2"]));
  bringLevel(primary);
  await node.settle();
  node.lines.length = 0;
  node.storage.volatile = true;
  ask(put("a"));
  node.clock.settle();
  assertEquals(node.lines.filter((line) => line.startsWith("put")), []);
  primary.stream("n2")?.onAppended(primary.stream("n2")?.stream ?? 0, 1);
  assertEquals(node.lines.filter((line) => line.startsWith("put")), ["put a: ack"]);
});

Deno.test("Primary.onSynced: batches of before its term is on disk commit nothing", async () => {
  const node = new RecordingNode();
  node.write("a", 1);
  await node.settle();
  const primary = new Primary(
    node.ports,
    node.store,
    node.recent,
    configOf(["n1"]),
    1,
    new IntentTable(node.store),
  );
  primary.onSynced(1);
  assertEquals([primary.phase, node.store.state.commitSeq], ["resyncing", 0]);
});

Deno.test("Primary.drain: only in its term, to a replica that is level, while it serves", async () => {
  const { node, primary } = await setUp(configOf(["n1", "n2"]));
  primary.drain(1, "n2");
  assertEquals(primary.phase, "resyncing");
  bringLevel(primary);
  assertEquals(primary.phase, "serving");
  for (const [term, to] of [[2, "n2"], [1, "n3"]] as const) {
    primary.drain(term, to);
    assertEquals(primary.phase, "serving", `term ${term} to ${to}`);
  }
  node.takeLines();
  primary.drain(1, "n2");
  assertEquals([primary.phase, primary.leaseBarred], ["drained", true]);
  assertEquals(node.takeLines(), ["report drained"]);
});

Deno.test("Primary.tick: a hand-over of which nothing comes ends; the lease stays barred until the next term", async () => {
  const { node, primary } = await setUp(configOf(["n1", "n2"]));
  bringLevel(primary);
  primary.drain(1, "n2");
  node.takeLines();
  primary.tick(HANDOVER_TIMEOUT_MS);
  assertEquals(primary.phase, "drained");
  primary.tick(HANDOVER_TIMEOUT_MS + 1);
  assertEquals([primary.phase, primary.leaseBarred], ["serving", true]);
  assertEquals(node.takeLines()[0], "report resumed");
  primary.onConfig(configOf(["n1", "n2"], [], 2), 2);
  assertEquals(primary.leaseBarred, false);
});

Deno.test("Primary.forgive: time in which this process stood still does not count for a hand-over", async () => {
  const { primary } = await setUp(configOf(["n1", "n2"]));
  bringLevel(primary);
  primary.drain(1, "n2");
  primary.forgive(10_000);
  primary.tick(10_000 + HANDOVER_TIMEOUT_MS);
  assertEquals(primary.phase, "drained");
});

Deno.test("Primary.stepDown: everything that waits is answered", async () => {
  const { node, primary, ask } = await setUp(configOf(["n1", "n2"]));
  ask(put("early"));
  bringLevel(primary);
  await node.settle();
  ask({ req_type: "get", key: "early" });
  node.takeLines();
  primary.stepDown({ req_type: "error", code: "not_primary", message: "" });
  assertEquals(node.takeLines(), ["put early: outcome_unknown", "get early: not_primary"]);
  assertEquals([primary.inFlightCount, primary.waitingCount, primary.streams], [0, 0, []]);
});

Deno.test("Primary.deleteExpired: deletes those alone whose newest entry has expired, as one group", async () => {
  const { node, primary } = await setUp();
  const wallMs = 1_000;
  node.store.apply({ ...entry("gone", 1), expiresAtMs: wallMs });
  node.store.apply({ ...entry("later", 2), expiresAtMs: wallMs + 1 });
  node.store.apply(entry("never", 3));
  node.store.setState({ lastSeq: 3 });
  node.recent.reset(3);
  assertEquals(primary.deleteExpired(["gone", "later", "never", "missing"], wallMs), true);
  assertEquals([primary.inFlightCount, node.store.state.lastSeq], [1, 4]);
  primary.stepDown({ req_type: "error", code: "not_primary", message: "" });
  assertEquals(primary.deleteExpired(["later"], wallMs + 1), false);
});

Deno.test("Primary.confirmTargets: all that must acknowledge, whether they are level or not", async () => {
  const { primary } = await setUp(configOf(["n1", "n2", "n3"], ["n4"]));
  assertEquals(primary.confirmTargets(), ["n2", "n3"]);
});
