import { assertEquals } from "@std/assert";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import type { DownstreamMessage, UpstreamMessage } from "../../../../shared/wire/messages.ts";
import {
  fromFollower,
  fromPrimary,
  type PeerTargets,
} from "../../../../node/peers/peer_dispatch.ts";
import type { Replica } from "../../../../node/replication/replica.ts";
import type { Upstream } from "../../../../node/replication/replica_ports.ts";

/** Replicas of partitions 0 and 1 that write down what they are told; of others there is none. */
function setUp() {
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const replica = (p: number) => ({
    confirms: (_node: string, term: number) => term === 5,
    onPrimaryClaim: ({ req_type }: { req_type: string }) => say(`${p} ${req_type}`),
    follower: {
      onAppend: (stream: number, commit: number) => say(`${p} append ${stream} ${commit}`),
      onBegin: () => say(`${p} begin`),
      onResyncWork: ({ req_type }: { req_type: string }) => say(`${p} ${req_type}`),
      onDigest: () => say(`${p} digest`),
    },
    primary: {
      stream: (node: string) =>
        node !== "n2" ? undefined : {
          onAppended: (stream: number, seq: number) => say(`${p} appended ${stream} ${seq}`),
          onInfo: () => say(`${p} info`),
          onProgress: () => say(`${p} progress`),
          onRefused: () => say(`${p} refused`),
        },
      onDigestDiffers: (_message: unknown, from: string) => say(`${p} differs from ${from}`),
    },
  } as unknown as Replica);
  const targets: PeerTargets = {
    replica: (p) => p < 2 ? replica(p) : undefined,
    addressee: ({ p }) => p < 2 ? replica(p) : undefined,
    confirmations: { onConfirmed: ({ round }, from) => say(`round ${round} of ${from}`) },
    slab: new ByteSlab(),
  };
  const upstream: Upstream = {
    node: "n1",
    closed: false,
    send: (message) => say(JSON.stringify(message)),
    ack: () => {},
  };
  return { lines, targets, upstream };
}

Deno.test("fromPrimary: each message comes to the follower that it is for, and to no other", () => {
  const { lines, targets, upstream } = setUp();
  const about = { term: 5, stream: 7 };
  const config = { term: 5, primary: "n1", inSync: ["n1"], learners: [] };
  const messages: DownstreamMessage[] = [
    { req_type: "append", parts: [[0, 5, 7, 1, []], [2, 5, 7, 1, []], [1, 5, 8, 2, []]] },
    { req_type: "confirm", round: 3, parts: [[0, 5], [1, 4], [2, 5]] },
    { req_type: "resync_query", p: 0, config, epoch: 1, stream: 7 },
    { req_type: "resync_query", p: 2, config, epoch: 1, stream: 7 },
    { req_type: "new_term", p: 1, config, epoch: 1, stream: 7 },
    { req_type: "resync_begin", p: 0, ...about, next: 1, full: false },
    { req_type: "resync_chunk", p: 0, ...about, seq: 1, full: false, entries: [] },
    { req_type: "resync_end", p: 0, ...about, last: 1, commit: 1, watermark: 0 },
    { req_type: "digest", p: 1, ...about, seq: 1, count: 0, digest: 0 },
  ];
  for (const message of messages) fromPrimary(message, upstream, targets);
  assertEquals(lines, [
    "0 append 7 1",
    "1 append 8 2",
    '{"req_type":"confirmed","round":3,"refused":[1,2]}',
    "0 resync_query",
    "1 new_term",
    "0 begin",
    "0 resync_chunk",
    "0 resync_end",
    "1 digest",
  ]);
});

Deno.test("fromFollower: each message comes to the stream of the node that sent it", () => {
  const { lines, targets } = setUp();
  const about = { p: 0, term: 5, stream: 7 };
  const messages: UpstreamMessage[] = [
    { req_type: "appended", acks: [[0, 5, 7, 1], [2, 5, 7, 1], [1, 5, 8, 2]] },
    { req_type: "confirmed", round: 3, refused: [] },
    { req_type: "resync_info", ...about, last_term: 5, commit: 1, last: 1 },
    { req_type: "resync_progress", ...about, chunks: 1 },
    { req_type: "stream_refused", ...about, reason: "" },
    { req_type: "digest_differs", ...about, count: 0, digest: 0 },
  ];
  for (const message of messages) fromFollower(message, "n2", targets);
  assertEquals(lines, [
    "0 appended 7 1",
    "1 appended 8 2",
    "round 3 of n2",
    "0 info",
    "0 progress",
    "0 refused",
    "0 differs from n2",
  ]);
  lines.length = 0;
  // Nobody here sends anything to that node.
  for (
    const message of messages.filter(({ req_type }) => /^(appended|resync_|stream_)/.test(req_type))
  ) {
    fromFollower(message, "n9", targets);
  }
  assertEquals(lines, []);
});
