import { assertEquals } from "@std/assert";
import { toWireEntry } from "../../../../shared/schema/value_codec.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { Follower } from "../../../../node/replication/follower.ts";
import { entry, RecordingNode } from "../../../support/doubles/recording_ports.ts";

function setUp() {
  const node = new RecordingNode("n2");
  const follower = new Follower(node.ports, node.store, node.recent, true);
  node.onSynced = (seq) => follower.onSynced(seq);
  const primary = node.upstream("n1");
  const ids = { p: 0, term: 1, stream: 1 };
  const begin = (full = false, next = 1) =>
    follower.onBegin({ req_type: "resync_begin", ...ids, next, full }, primary);
  const end = (last: number, commit: number) =>
    follower.onResyncWork({ req_type: "resync_end", ...ids, last, commit, watermark: 0 }, primary);
  const append = (key: string, seq: number, commitSeq: number, stream = 1, from = primary) =>
    follower.onAppend(stream, commitSeq, [toWireEntry(entry(key, seq))], from);
  const level = async () => {
    follower.onQuery(1, 1, true, primary);
    begin();
    end(0, 0);
    await node.settle();
    node.takeLines();
  };
  return { node, follower, primary, begin, end, append, level };
}

Deno.test("Follower: what is not of the stream that stands is ignored", async () => {
  const { node, follower, append, level } = setUp();
  await level();
  append("a", 1, 0, 9);
  append("a", 1, 0, 1, node.upstream("n3"));
  await node.settle();
  assertEquals([follower.state, node.store.state.lastSeq, node.takeLines()], ["level", 0, []]);
  append("a", 1, 0);
  await node.settle();
  assertEquals(node.takeLines(), ["n1 ack 1 of 1"]);
});

Deno.test("Follower: commits no further than it has writes", async () => {
  const { node, append, level } = setUp();
  await level();
  append("a", 1, 9);
  assertEquals(node.store.state.commitSeq, 1);
});

Deno.test("Follower.onQuery: names the keys of writes that are not known to be committed, each once", async () => {
  const { node, follower, primary, append, level } = setUp();
  await level();
  append("a", 1, 0);
  append("b", 2, 1);
  append("b", 3, 1);
  append("c", 4, 1);
  follower.onQuery(2, 1, true, primary);
  const info = node.sent.at(-1) as Message<"resync_info">;
  assertEquals([info.commit, info.last, info.unacknowledged], [1, 4, ["b", "c"]]);
});

Deno.test("Follower.onBegin: in sync it refuses to be sent everything, and says that it is hopeless", () => {
  const { node, follower, primary, begin } = setUp();
  follower.onQuery(1, 1, true, primary);
  begin(true);
  const refused = node.sent.at(-1) as Message<"stream_refused">;
  assertEquals([refused.req_type, refused.hopeless, follower.state], [
    "stream_refused",
    true,
    "idle",
  ]);
  // Asked again it says that it does not know what to doubt: so it is sent everything, as a learner.
  follower.onQuery(1, 1, false, primary);
  assertEquals((node.sent.at(-1) as Message<"resync_info">).unacknowledged, undefined);
  begin(true);
  assertEquals(follower.state, "resyncing");
});

Deno.test("Follower.isWhole: not while a resync was begun and has not ended", () => {
  const { follower, primary, begin, end } = setUp();
  follower.onQuery(1, 1, false, primary);
  assertEquals(follower.isWhole, true);
  begin();
  follower.onUpstreamClosed(primary);
  assertEquals([follower.state, follower.isWhole], ["idle", false]);
  follower.onQuery(1, 1, false, primary);
  begin();
  end(0, 0);
  assertEquals(follower.isWhole, true);
});

Deno.test("Follower.onNewTerm: a replica that is level has the term on disk, another one not yet", async () => {
  const { node, follower, primary, begin, level } = setUp();
  follower.onQuery(1, 1, true, primary);
  begin();
  follower.onNewTerm(1, 2, primary);
  assertEquals(node.store.state.term, 0);
  await level();
  follower.onNewTerm(1, 2, primary);
  assertEquals(node.store.state.term, 2);
});

Deno.test("Follower.onDigest: tells of a difference only at the same seq, and when its own data is sound", async () => {
  const table: [what: string, seq: number, countOff: number, lines: string[]][] = [
    ["the same", 1, 0, []],
    ["another seq", 2, 1, []],
    ["different", 1, 1, ["n1 digest_differs"]],
  ];
  for (const [what, seq, countOff, lines] of table) {
    const { node, follower, primary, append, level } = setUp();
    await level();
    append("a", 1, 1);
    await node.settle();
    node.takeLines();
    const { count, digest } = node.store.state;
    follower.onDigest({
      req_type: "digest",
      p: 0,
      term: 1,
      stream: 1,
      seq,
      count: count + countOff,
      digest,
    }, primary);
    await node.settle();
    assertEquals(node.takeLines(), lines, what);
  }
});

Deno.test("Follower: a clear in the middle of a resync leaves a list of recent writes that fits the data again", async () => {
  const { node, follower, primary, append, level } = setUp();
  await level();
  append("a", 1, 1);
  append("b", 2, 2);
  await node.settle();
  assertEquals([follower.isWhole, node.recent.since(0)?.size], [true, 2]);
  follower.onQuery(2, 1, false, primary);
  follower.onBegin(
    { req_type: "resync_begin", p: 0, term: 1, stream: 2, next: 9, full: true },
    primary,
  );
  assertEquals(follower.isWhole, false);
  follower.markDamaged();
  follower.beginWithNothing();
  for (let i = 0; i < 10; i++) await node.settle();
  const { lastSeq } = node.store.state;
  assertEquals([follower.damaged, lastSeq, node.recent.lastSeq], [false, 0, 0]);
  assertEquals([follower.isWhole, node.recent.since(0)?.size], [true, 0]);
});

Deno.test("Follower: of a transfer that breaks it says what is filled, as its disk does, and of nothing else", async () => {
  const { node, follower, primary, append, end } = setUp();
  const chunk = (upto: string | undefined, seqs: Record<string, number>, more = {}) =>
    follower.onResyncWork({
      req_type: "resync_chunk",
      ...{ p: 0, term: 1, stream: 1, seq: 9, full: true },
      ...(upto === undefined ? {} : { upto, commit: 7, watermark: 4 }),
      entries: Object.entries(seqs).map(([key, seq]) => toWireEntry(entry(key, seq))),
      ...more,
    }, primary);
  const ask = async (stream: number) => {
    follower.onQuery(stream, 1, false, primary);
    await node.settle();
    return node.sent.at(-1) as Message<"resync_info">;
  };
  const beginAt = (stream: number, after?: string) =>
    follower.onBegin({
      req_type: "resync_begin",
      ...{ p: 0, term: 1, stream, next: 10, full: true },
      ...(after === undefined ? {} : { after }),
    }, primary);
  // It has something of before, of which nothing may be left in the filled part.
  node.write("b", 3);
  node.write("x", 4);
  await node.settle();
  await ask(1);
  beginAt(1);
  chunk("c", { a: 8, c: 1 });
  assertEquals(node.store.state.filled, undefined, "not before what is here and not in it is gone");
  await node.settle();
  assertEquals([node.store.get("b"), node.store.state.filled], [
    undefined,
    { upto: "c", commitSeq: 7, term: 1 },
  ]);
  // What the primary has dropped was not sent: whoever sends the rest, the replica lacks it.
  assertEquals(node.store.state.watermark, 4);
  append("d", 10, 9);
  append("a", 11, 9);
  follower.onUpstreamClosed(primary);
  const info = await ask(2);
  assertEquals([info.last_term, info.commit, info.filled, info.unacknowledged], [1, 7, "c", ["a"]]);
  beginAt(2, "c");
  assertEquals(node.store.state.filled?.upto, "c", "goes on");
  follower.onUpstreamClosed(primary);
  await ask(3);
  beginAt(3);
  assertEquals(node.store.state.filled, undefined, "begins anew");
  follower.onUpstreamClosed(primary);
  follower.onQuery(1, 1, false, primary);
  beginAt(1);
  chunk("m", { a: 11 }, { commit: 99 });
  await node.settle();
  assertEquals(node.store.state.filled, { upto: "m", commitSeq: 9, term: 1 }, "what came at most");
  chunk(undefined, { x: 4 });
  end(9, 9);
  await node.settle();
  assertEquals([follower.state, node.store.state.filled], ["level", undefined]);
});
