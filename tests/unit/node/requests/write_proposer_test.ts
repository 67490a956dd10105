import { assertEquals } from "@std/assert";
import { GROUP_WIRE_BYTES_MAX } from "../../../../shared/limits/requests.ts";
import type { PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import type { Change } from "../../../../node/requests/request_dedup.ts";
import type { LiveWrites } from "../../../../node/requests/live_writes.ts";
import { WriteProposer } from "../../../../node/requests/write_proposer.ts";
import { WriteQueue } from "../../../../node/requests/write_queue.ts";
import { configOf, entry, RecordingNode } from "../../../support/doubles/recording_ports.ts";

const ANSWER: Reply = { req_type: "ack", message: "stored" };
const put = (key: string): KeyRequest => ({ req_type: "put", key, value: "" });
const change = (key: string, value = "v"): Change => ({
  key,
  write: { flags: 0, value: new TextEncoder().encode(value), expiresAtMs: 0 },
});

/** A proposer that serves with two followers, and what it sent and said. */
function setUp(config: PartitionConfig = configOf(["n1", "n2", "n3"]), minInSync = 1) {
  const node = new RecordingNode();
  const ports = { ...node.ports, minInSync };
  const writes = new WriteQueue(ports.inFlight, () => ports.nowMs());
  const frames: string[] = [];
  const failed: string[] = [];
  const owner = {
    ports,
    store: node.store,
    recent: node.recent,
    clientSessions: node.clientSessions,
    config,
    isServing: true,
    followers: {
      isEmpty: false,
      append: (lastSeq: number, writes: LiveWrites, commitSeq: number) => {
        assertEquals(JSON.parse(`[${writes.json}]`).length, writes.rows.length);
        frames.push(`${lastSeq} ${writes.rows.length} ${commitSeq}`);
      },
    },
    onReadFailed: () => false,
    isHeld: () => false,
    onProposed: () => {},
    fail: (error: unknown) => void failed.push(String(error)),
  };
  return { node, owner, writes, frames, failed, proposer: new WriteProposer(owner, writes) };
}

/** The code of what a proposal was answered, if it was. */
function replies() {
  const codes: string[] = [];
  const reply = (answer: Reply) =>
    void codes.push(answer.req_type === "error" ? answer.code : answer.req_type);
  return { codes, reply };
}

Deno.test("WriteProposer.propose: one group gets seqs without a gap, one frame, and one answer", () => {
  const { node, proposer, writes, frames } = setUp();
  const { codes, reply } = replies();
  assertEquals(proposer.propose(put("a"), [change("a"), change("b")], 0, ANSWER, reply), true);
  assertEquals(proposer.propose(put("c"), [change("c")], 0, ANSWER, reply), true);
  assertEquals(frames, ["2 2 0", "3 1 0"]);
  assertEquals([node.store.state.lastSeq, writes.size, codes], [3, 3, []]);
  writes.commit(2);
  assertEquals(codes, ["ack"]);
});

Deno.test("WriteProposer.propose: what the store refuses takes no seq and none of the budget", () => {
  const { node, owner, proposer, writes, frames, failed } = setUp();
  const { codes, reply } = replies();
  const apply = node.store.apply;
  node.store.apply = () => {
    throw new Error("refused");
  };
  assertEquals(proposer.propose(put("a"), [change("a")], 0, ANSWER, reply), false);
  node.store.apply = apply;
  assertEquals([node.store.state.lastSeq, writes.size, owner.ports.inFlight.taken], [0, 0, 0]);
  assertEquals([frames, codes, failed.length], [[], [], 1]);
});

Deno.test("WriteProposer.propose: a group that no frame holds is refused, and nothing of it is written", () => {
  const { proposer, writes, node } = setUp();
  const { codes, reply } = replies();
  const long = "v".repeat(GROUP_WIRE_BYTES_MAX / 2);
  const changes = [change("a", long), change("b", long)];
  assertEquals(proposer.propose(put("a"), changes, 0, ANSWER, reply), false);
  assertEquals([codes, writes.size, node.store.state.lastSeq], [["value_too_large"], 0, 0]);
});

Deno.test("WriteProposer: with too few replicas in sync no write is taken, and none that commits is sure", () => {
  const { proposer } = setUp(configOf(["n1"]), 2);
  const code = (reply: Reply | undefined) => reply?.req_type === "error" ? reply.code : reply;
  assertEquals(code(proposer.whyNoWrite("put")), "not_enough_replicas");
  // Deletions of what has expired need no more replicas than there are.
  assertEquals(code(proposer.whyFull("put")), undefined);
  assertEquals(code(proposer.whyNotSure()), "outcome_unknown");
});

Deno.test("WriteProposer.deleteExpired: only while served, and only what is still expired", () => {
  const { node, owner, proposer, writes } = setUp();
  node.store.apply({ ...entry("gone", 1), expiresAtMs: 10 });
  node.store.apply({ ...entry("later", 2), expiresAtMs: 11 });
  node.store.setState({ lastSeq: 2 });
  node.recent.reset(2);
  owner.isServing = false;
  assertEquals(proposer.deleteExpired(["gone"], 10), false);
  owner.isServing = true;
  assertEquals(proposer.deleteExpired(["gone", "later", "missing"], 10), true);
  assertEquals([writes.size, node.store.get("gone")?.seq, node.store.get("later")?.seq], [1, 3, 2]);
});
