import { assertEquals } from "@std/assert";
import type { Message } from "../../../../shared/wire/messages.ts";
import type { LiveWrites } from "../../../../node/requests/live_writes.ts";
import { FollowerStream, type StreamOwner } from "../../../../node/replication/follower_stream.ts";
import { configOf, RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** Those who are told do not look into them. */
const NO_WRITES: LiveWrites = { rows: [], json: "" };

function setUp(forcedTerm?: number) {
  const node = new RecordingNode();
  const owner: StreamOwner = {
    partition: 0,
    config: { ...configOf(["n1", "n2"]), ...(forcedTerm === undefined ? {} : { forcedTerm }) },
    epoch: 1,
    store: node.store,
    recent: node.recent,
    ports: node.ports,
    onStreamAdvanced: () => node.lines.push("advanced"),
    onHopeless: () => node.lines.push("hopeless"),
    onReadFailed: () => false,
  };
  const stream = new FollowerStream(owner, "n2");
  const info = (given: Partial<Message<"resync_info">> = {}): Message<"resync_info"> => ({
    req_type: "resync_info",
    p: 0,
    term: 1,
    stream: stream.stream,
    last_term: 1,
    commit: 3,
    last: 3,
    unacknowledged: [],
    ...given,
  });
  return { node, stream, info };
}

const refusal = (stream: number, hopeless = false): Message<"stream_refused"> => ({
  req_type: "stream_refused",
  p: 0,
  term: 1,
  stream,
  reason: "test",
  hopeless,
});

Deno.test("FollowerStream.onInfo: sends everything if the difference cannot be told, and to an empty replica never", () => {
  const table: [what: string, info: Partial<Message<"resync_info">>, full: boolean][] = [
    ["level with the tombstone watermark", { commit: 3 }, false],
    ["below the tombstone watermark, and all writes since are known", { commit: 2 }, false],
    ["below it, and they are not: a tombstone may be gone", { commit: 1 }, true],
    ["beyond what the primary has", { commit: 6 }, true],
    ["does not know what to doubt", { unacknowledged: undefined }, true],
    ["nothing at all", { last_term: 0, commit: 0, last: 0, unacknowledged: [] }, false],
  ];
  for (const [what, given, full] of table) {
    const { node, stream, info } = setUp();
    node.recent.reset(2);
    for (let seq = 1; seq <= 5; seq++) {
      node.write(`k${seq}`, seq);
      if (seq > 2) node.recent.push(seq, `k${seq}`);
    }
    node.store.setState({ commitSeq: 5, watermark: 3 });
    stream.start();
    const message = info(given);
    if ("unacknowledged" in given && given.unacknowledged === undefined) {
      delete message.unacknowledged;
    }
    stream.onInfo(message);
    const begin = node.sent.find(({ req_type }) => req_type === "resync_begin");
    assertEquals((begin as Message<"resync_begin">).full, full, what);
  }
});

Deno.test("FollowerStream.onInfo: goes on after what is filled, unless the difference up to there cannot be told", () => {
  const table: [
    what: string,
    info: Partial<Message<"resync_info">>,
    after: string | undefined,
    forcedTerm?: number,
  ][] = [
    ["filled as of a commit seq that counts", {}, "k2"],
    ["a tombstone may be gone", { commit: 2 }, undefined],
    ["beyond what the primary has", { commit: 6 }, undefined],
    ["does not know what to doubt", { unacknowledged: undefined }, undefined],
    ["filled before a primary was forced", {}, undefined, 2],
    ["filled since a primary was forced", { last_term: 2 }, "k2", 2],
  ];
  for (const [what, given, after, forcedTerm] of table) {
    const { node, stream, info } = setUp(forcedTerm);
    for (let seq = 1; seq <= 5; seq++) node.write(`k${seq}`, seq);
    node.recent.reset(5);
    node.store.setState({ commitSeq: 5, watermark: 3 });
    // That a difference was found was before it was filled.
    stream.startOver();
    const message = info({ filled: "k2", ...given });
    if ("unacknowledged" in given) delete message.unacknowledged;
    stream.onInfo(message);
    const begin = node.sent.find(({ req_type }) => req_type === "resync_begin");
    const { full, after: kept } = begin as Message<"resync_begin">;
    assertEquals([full, kept], [true, after], what);
  }
});

Deno.test("FollowerStream: answers of an earlier stream do nothing", () => {
  const { node, stream, info } = setUp();
  stream.start();
  const old = stream.stream;
  stream.start();
  node.takeLines();
  stream.onInfo(info({ stream: old }));
  stream.onAppended(old, 3);
  stream.onRefused(refusal(old));
  assertEquals([stream.state, stream.ackedSeq, node.takeLines()], ["querying", 0, []]);
});

Deno.test("FollowerStream.append: nothing is sent before the replica was told where the stream begins", () => {
  const { node, stream, info } = setUp();
  stream.start();
  node.takeLines();
  stream.append(1, NO_WRITES, 0);
  assertEquals(node.takeLines(), []);
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  stream.append(1, NO_WRITES, 0);
  assertEquals(node.takeLines(), ["n2 resync_begin", "n2 resync_end", "n2 append, commit 0"]);
});

Deno.test("FollowerStream.tellCommit: once, and only to a replica that is level", () => {
  const { node, stream, info } = setUp();
  stream.start();
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  node.takeLines();
  stream.tellCommit(1);
  assertEquals(node.takeLines(), []);
  stream.onAppended(stream.stream, 0);
  stream.tellCommit(1);
  stream.tellCommit(1);
  assertEquals(node.takeLines(), ["advanced", "n2 commit 1"]);
});

Deno.test("FollowerStream.start: to a node that is down it begins nothing", () => {
  const { node, stream } = setUp();
  node.down.add("n2");
  stream.start();
  assertEquals([stream.state, node.takeLines()], ["down", []]);
});

Deno.test("FollowerStream: after a refusal only an acknowledgement is progress", async () => {
  const { node, stream, info } = setUp();
  stream.start();
  stream.onRefused(refusal(stream.stream));
  assertEquals(stream.state, "down");
  await node.clock.run(500);
  stream.start();
  const beforeMs = stream.progressMs;
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  stream.onProgress({
    req_type: "resync_progress",
    p: 0,
    term: 1,
    stream: stream.stream,
    chunks: 0,
  });
  assertEquals(stream.progressMs, beforeMs);
  stream.onAppended(stream.stream, 0);
  assertEquals(stream.progressMs, 500);
});

Deno.test("FollowerStream.isDue: after each refusal in a row later, until the replica is level", () => {
  const { stream, info } = setUp();
  const pauses: number[] = [];
  const pause = () => {
    let ms = 0;
    while (!stream.isDue(ms)) ms += 50;
    return ms;
  };
  for (let i = 0; i < 4; i++) {
    stream.start();
    stream.onRefused(refusal(stream.stream));
    pauses.push(pause());
  }
  assertEquals(pauses.every((ms, i) => i === 0 || ms > (pauses[i - 1] ?? 0)), true, `${pauses}`);
  stream.start();
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  stream.onAppended(stream.stream, 0);
  stream.stop();
  assertEquals(pause(), pauses[0]);
});

Deno.test("FollowerStream.onRefused: a replica that can only be filled as a learner is told of", () => {
  const { node, stream } = setUp();
  stream.start();
  node.takeLines();
  stream.onRefused(refusal(stream.stream, true));
  assertEquals(node.takeLines(), ["hopeless"]);
});

Deno.test("FollowerStream: pieces wait until the peer has taken what is queued for it; writes do not", () => {
  const { node, stream, info } = setUp();
  for (let seq = 1; seq <= 5; seq++) {
    node.write(`k${seq}`, seq);
    node.recent.push(seq, `k${seq}`);
  }
  stream.start();
  node.room = false;
  node.takeLines();
  stream.onInfo(info({ commit: 2, last: 2 }));
  stream.append(6, NO_WRITES, 0);
  assertEquals(node.takeLines(), ["n2 resync_begin", "n2 append, commit 0"]);
  for (const then of node.waiting.splice(0)) then();
  assertEquals(node.takeLines(), ["n2 resync_chunk", "n2 resync_end"]);

  // What waited for a stream that is no more is not sent over the next one.
  stream.start();
  stream.onInfo(info({ commit: 2, last: 2 }));
  stream.stop();
  stream.start();
  node.takeLines();
  assertEquals(node.waiting.length, 1);
  for (const then of node.waiting.splice(0)) then();
  assertEquals(node.takeLines(), []);
});

Deno.test("FollowerStream.onAppended: what was not sent is not acknowledged, whatever the replica says", () => {
  const { node, stream, info } = setUp();
  stream.start();
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  stream.onAppended(stream.stream, 1);
  assertEquals([stream.state, stream.ackedSeq], ["down", 0]);
  stream.start();
  stream.onInfo(info({ last_term: 0, commit: 0, last: 0 }));
  stream.onAppended(stream.stream, 0);
  stream.append(1, NO_WRITES, 0);
  stream.onAppended(stream.stream, 1);
  assertEquals([stream.state, stream.ackedSeq], ["level", 1]);
  node.takeLines();
  stream.onAppended(stream.stream, Number.MAX_SAFE_INTEGER);
  assertEquals([stream.state, stream.ackedSeq, node.takeLines()], ["down", 0, []]);
});
