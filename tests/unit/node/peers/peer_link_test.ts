import { assert, assertEquals } from "@std/assert";
import { PACKED_FRAME, unpackMessage } from "../../../../node/peers/packed_line.ts";
import { PeerLink } from "../../../../node/peers/peer_link.ts";
import {
  APPENDED_FRAME,
  decodeAppend,
  encodeAppended,
} from "../../../../node/peers/replication_frames.ts";
import { EncodedWrites, type LiveWrites } from "../../../../node/requests/live_writes.ts";
import { encodeRecord } from "../../../../node/storage/record.ts";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { beginFrame, FRAMES_VERSION } from "../../../../shared/schema/binary_frames.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import {
  PACKED_LINE_CHARACTERS_MIN,
  PEER_FRAME_BYTES,
  PEER_PING_MS,
  PEER_QUEUE_BYTES_PAUSE,
  PEER_RECONNECT_MS_MAX,
  PEER_RECONNECT_MS_MIN,
  PEER_SILENCE_MS_MAX,
} from "../../../../shared/limits/replication.ts";
import type {} from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import { type Message, PROTOCOL_VERSION } from "../../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { Listener } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const PORT = 7;
/** There and back, with time to spare, and shorter than any back-off. */
const ROUND_TRIP_MS = 10;

/** A peer that keeps what comes, and answers `hello` and `ping` if it is told to. */
class Peer {
  readonly messages: Message[] = [];
  readonly connections: Connection[] = [];
  answersHello = true;
  /** It takes binary frames. */
  frames: number | undefined;
  readonly received: Uint8Array[] = [];
  answersPing = true;
  #listener: Listener | undefined;
  readonly #network: MemoryNetwork;
  readonly #host: string;

  constructor(network: MemoryNetwork, host: string) {
    this.#network = network;
    this.#host = host;
  }

  async start(): Promise<this> {
    const address = { host: this.#host, port: PORT };
    this.#listener = await this.#network.transport(this.#host).listen(address, (stream) => {
      const connection = new Connection(stream, this.#network.clock, {
        onMessage: (message) => this.#onMessage(message, connection),
        onFrame: (frame) => this.received.push(frame),
        onInvalid: (error) => {
          throw error;
        },
        onClose: () => {},
      });
      this.connections.push(connection);
    });
    return this;
  }

  stop(): void {
    this.#listener?.close();
    for (const connection of this.connections) connection.close();
  }

  /** What came, without `hello` and `ping`. */
  take(): Message[] {
    return this.messages.splice(0)
      .filter(({ req_type }) => req_type !== "hello" && req_type !== "ping");
  }

  get latest(): Connection {
    const connection = this.connections.at(-1);
    assert(connection !== undefined, "a connection was made");
    return connection;
  }

  #onMessage(message: Message, connection: Connection): void {
    this.messages.push(message);
    const { req_type, id } = message;
    if (req_type === "hello" && this.answersHello || req_type === "ping" && this.answersPing) {
      if (req_type === "hello" && this.frames !== undefined) connection.takeFrames();
      const frames = req_type === "hello" && this.frames !== undefined
        ? { frames: this.frames }
        : {};
      connection.send({ req_type: "ack", id, ...frames });
    }
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly peer = new Peer(this.network, "b");
  readonly events: string[] = [];
  readonly heard: Message[] = [];
  readonly frames: Uint8Array[] = [];
  readonly logged: string[] = [];
  /** The reasons that were logged. */
  readonly reasons: unknown[] = [];

  /** A link from host "a", at whose other end somebody may listen. */
  link(queueBytesMax?: number): PeerLink {
    return new PeerLink(
      {
        clock: this.clock,
        random: new SeededRandom(1),
        transport: this.network.transport("a"),
        log: {
          ...NO_LOG,
          warn: (event, fields) => {
            this.logged.push(`${event}: ${fields?.attempts}`);
            this.reasons.push(fields?.reason);
          },
          info: (event) => this.logged.push(event),
        },
        self: "node-a",
        clusterId: () => "cluster",
        ...(queueBytesMax === undefined ? {} : { queueBytesMax }),
      },
      "node-b",
      { host: "b", port: PORT },
      {
        onUp: (node) => this.events.push(`up ${node}`),
        onDown: (node) => this.events.push(`down ${node}`),
        onMessage: (message) => this.heard.push(message),
        onFrame: (frame) => {
          if (frame[1] !== APPENDED_FRAME) throw new KvError("bad_request", "no such frame");
          this.frames.push(frame);
        },
      },
    );
  }

  /** A link that is up. */
  async up(queueBytesMax?: number): Promise<PeerLink> {
    await this.peer.start();
    const link = this.link(queueBytesMax);
    this.clock.advance(ROUND_TRIP_MS);
    assertEquals(link.isUp, true);
    this.peer.take();
    this.events.length = 0;
    return link;
  }
}

function entryJson(key: string, value = "v"): string {
  return JSON.stringify([key, 1, 1, 0, 0, 0, value]);
}

/** A write on its way to a replica. */
function writeOf(key: string, value = "v"): LiveWrites {
  const bytes = new TextEncoder().encode(value);
  const entry: Entry = {
    key,
    seq: 1,
    term: 1,
    flags: 0,
    timestampMs: 0,
    expiresAtMs: 0,
    value: bytes,
  };
  return new EncodedWrites([entry], [encodeRecord(1, entry)]);
}

/** A piece of a resync with one entry. */
function chunkOf(value: string): Message<"resync_chunk"> {
  const entries = [JSON.parse(entryJson("k", value))];
  return { req_type: "resync_chunk", p: 1, term: 1, stream: 1, seq: 1, full: false, entries };
}

/** Frames as `partition:keys@commit`, other messages by their type. */
function outline(messages: readonly Message[]): string[] {
  return messages.map((message) =>
    message.req_type !== "append" ? message.req_type : message.parts
      .map(([p, , , commit, entries]) => `${p}:${entries.map(([key]) => key).join("")}@${commit}`)
      .join(" ")
  );
}

Deno.test("PeerLink: says who it is, and is up when that was answered", async () => {
  const bench = new Bench();
  await bench.peer.start();
  bench.peer.answersHello = false;
  const link = bench.link();
  bench.clock.advance(ROUND_TRIP_MS);
  const [hello] = bench.peer.messages;
  assert(hello?.req_type === "hello");
  assertEquals([hello.role, hello.node, hello.cluster_id], ["peer", "node-a", "cluster"]);
  assertEquals(hello.protocol, PROTOCOL_VERSION);
  assertEquals([link.isUp, bench.events], [false, []]);
  link.send({ req_type: "ping", id: 5 });
  link.append(1, 1, 1, 0, writeOf("a"));
  bench.peer.latest.send({ req_type: "ack", id: 1 });
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(link.isUp, false, "an answer to a ping opens nothing");
  bench.peer.latest.send({ req_type: "ack", id: 0 });
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals([link.isUp, bench.events], [true, ["up node-b"]]);
  assertEquals(bench.peer.messages.length, 1, "what was sent before was dropped");
  link.close();
});

Deno.test("PeerLink: one turn's writes leave in one frame, in order with other messages", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.append(1, 3, 10, 0, writeOf("a"));
  link.append(2, 3, 11, 7, writeOf("b"));
  link.append(1, 3, 10, 1, writeOf("c"));
  link.append(3, 3, 12, 9, undefined);
  assertEquals(bench.peer.take(), []);
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(outline(bench.peer.take()), ["1:ac@1 2:b@7 3:@9"]);

  link.append(1, 3, 10, 2, writeOf("d"));
  link.send({ req_type: "resync_begin", p: 2, term: 3, stream: 11, next: 1, full: false });
  link.append(2, 3, 11, 7, writeOf("e"));
  link.append(1, 3, 10, 2, writeOf("f"));
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(outline(bench.peer.take()), ["1:d@2", "resync_begin", "2:e@7 1:f@2"]);
  link.close();
});

Deno.test("PeerLink.append: writes of another stream or term never share a part", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.append(1, 3, 10, 0, writeOf("a"));
  link.append(1, 3, 11, 0, writeOf("b"));
  link.append(1, 4, 11, 0, writeOf("c"));
  bench.clock.advance(ROUND_TRIP_MS);
  const frames = bench.peer.take();
  assertEquals(outline(frames), ["1:a@0", "1:b@0", "1:c@0"]);
  const heads = frames.map((frame) => frame.req_type === "append" && frame.parts[0]?.slice(1, 3));
  assertEquals(heads, [[3, 10], [3, 11], [4, 11]]);
  link.close();
});

Deno.test("PeerLink.append: a frame leaves when it is large enough", async () => {
  const bench = new Bench();
  const link = await bench.up();
  const value = "v".repeat(PEER_FRAME_BYTES / 4);
  for (const key of "abcdef") link.append(1, 1, 1, 0, writeOf(key, value));
  assert(link.queuedBytes > PEER_FRAME_BYTES, "what waits is counted");
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(outline(bench.peer.take()), ["1:abcd@0", "1:ef@0"]);
  assertEquals(link.queuedBytes, 0);
  link.close();
});

Deno.test("PeerLink: hands on what the peer says, but acks and errors", async () => {
  const bench = new Bench();
  const link = await bench.up();
  const appended: Message = { req_type: "appended", acks: [[1, 1, 1, 4]] };
  bench.peer.latest.send({ req_type: "ack", id: 1 });
  bench.peer.latest.send({ req_type: "error", code: "bad_request", message: "no" });
  bench.peer.latest.send(appended);
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals([bench.heard, link.isUp], [[appended], true]);
  link.close();
});

Deno.test("PeerLink: a broken link is made again, and begins with nothing of the old one", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.append(1, 1, 1, 0, writeOf("a"));
  bench.network.reset("a", "b");
  bench.clock.advance(1);
  assertEquals([link.isUp, bench.events], [false, ["down node-b"]]);
  link.append(1, 1, 1, 0, writeOf("b"));
  bench.clock.advance(PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, bench.events], [true, ["down node-b", "up node-b"]]);
  assertEquals(bench.peer.take(), []);
  link.append(1, 1, 2, 0, writeOf("c"));
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(outline(bench.peer.take()), ["1:c@0"]);
  link.close();
});

Deno.test("PeerLink: writes that wait for the end of the turn do not outlive their connection", async () => {
  const bench = new Bench();
  const link = await bench.up();
  bench.network.reset("a", "b");
  // The link has not heard of it yet.
  assertEquals(link.isUp, true);
  link.append(1, 1, 1, 0, writeOf("lost"));
  bench.clock.advance(2 * PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, bench.peer.take()], [true, []]);
  link.close();
});

Deno.test("PeerLink: before the certificates end it says what it has to say, and is made again at once", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.append(1, 1, 1, 0, writeOf("a"));
  bench.clock.advance(0);
  bench.network.expire("a", "b");
  bench.clock.advance(PEER_RECONNECT_MS_MIN + 2 * ROUND_TRIP_MS);
  assertEquals([link.isUp, bench.events], [true, ["down node-b", "up node-b"]]);
  assertEquals(outline(bench.peer.take()), ["1:a@0"]);
  link.close();
});

Deno.test("PeerLink: tries again with growing pauses while nobody is there", async () => {
  const bench = new Bench();
  const link = bench.link();
  bench.clock.advance(60_000);
  assertEquals([link.isUp, bench.events], [false, []]);
  await bench.peer.start();
  let waitedMs = 0;
  for (; !link.isUp && waitedMs <= PEER_RECONNECT_MS_MAX + ROUND_TRIP_MS; waitedMs++) {
    bench.clock.advance(1);
  }
  assertEquals(link.isUp, true);
  assert(
    waitedMs > PEER_RECONNECT_MS_MIN + ROUND_TRIP_MS,
    "it had waited for longer than at first",
  );
  // Having heard somebody, it begins with short pauses again.
  bench.network.reset("a", "b");
  bench.clock.advance(PEER_RECONNECT_MS_MIN + ROUND_TRIP_MS);
  assertEquals(bench.events, ["up node-b", "down node-b", "up node-b"]);
  link.close();
});

Deno.test("PeerLink: that nobody can be reached is in the log from the third failure on, and when it is over", async () => {
  const bench = new Bench();
  const link = bench.link();
  bench.clock.advance(60_000);
  const lines = bench.logged.splice(0);
  const expected = [3, 6, 12, 24, 48].map((attempts) =>
    `a peer cannot be reached; trying again until it can: ${attempts}`
  );
  assertEquals(lines.slice(0, expected.length), expected);
  assert(lines.length <= 7, `${lines.length} lines in a minute`);
  await bench.peer.start();
  bench.clock.advance(2 * PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, bench.logged.splice(0)], [true, ["a peer is reached again"]]);
  // A connection that breaks once is worth no line.
  bench.network.reset("a", "b");
  bench.clock.advance(PEER_RECONNECT_MS_MIN + ROUND_TRIP_MS);
  assertEquals([link.isUp, bench.logged], [true, []]);
  link.close();
});

Deno.test("PeerLink: a peer that refuses is asked again, ever more rarely, and never up", async () => {
  const bench = new Bench();
  await bench.peer.start();
  bench.peer.answersHello = false;
  const link = bench.link();
  let refused = 0;
  for (let ms = 0; ms < 20_000; ms++) {
    bench.clock.advance(1);
    for (const _ of bench.peer.messages.splice(0)) {
      refused++;
      bench.peer.latest.send({ req_type: "error", code: "wrong_cluster", message: "not ours" });
    }
  }
  assertEquals([link.isUp, bench.events], [false, []]);
  const fewest = 20_000 / (PEER_RECONNECT_MS_MAX + 20);
  assert(refused > fewest - 1 && refused < 4 * fewest, `${refused} attempts in 20 s`);
  // Its reason is told with the others, and not at each attempt.
  assertEquals(bench.logged[0], "a peer cannot be reached; trying again until it can: 3");
  assertEquals(bench.reasons[0], "it refused: wrong_cluster: not ours");
  assert(bench.logged.length < 6, `${bench.logged.length} lines`);
  link.close();
});

Deno.test("PeerLink: a peer that is silent is left, and found again", async () => {
  const bench = new Bench();
  const link = await bench.up();
  bench.clock.advance(10 * PEER_SILENCE_MS_MAX);
  assertEquals(bench.events, [], "answered pings keep a link up that has nothing to say");
  bench.network.cut("a", "b");
  bench.clock.advance(PEER_SILENCE_MS_MAX - PEER_PING_MS);
  assertEquals(bench.events, []);
  bench.clock.advance(3 * PEER_PING_MS);
  assertEquals([link.isUp, bench.events], [false, ["down node-b"]]);
  bench.network.heal("a", "b");
  bench.clock.advance(3 * PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, bench.events], [true, ["down node-b", "up node-b"]]);
  link.close();
});

Deno.test("PeerLink: one that took the connection and never answers hello is left as well", async () => {
  const bench = new Bench();
  await bench.peer.start();
  bench.peer.answersHello = false;
  bench.peer.answersPing = false;
  const link = bench.link();
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(bench.peer.connections.length, 1);
  bench.clock.advance(PEER_SILENCE_MS_MAX + 2 * PEER_PING_MS);
  bench.clock.advance(PEER_RECONNECT_MS_MAX);
  assertEquals(bench.peer.latest.closed, false);
  assertEquals([bench.peer.connections.length, bench.peer.connections[0]?.closed], [2, true]);
  assertEquals(bench.events, []);
  link.close();
});

Deno.test("PeerLink: a peer that takes too little is left, whatever is sent, and comes back after the longest pause", async () => {
  const bench = new Bench();
  const bytesMax = 8 * PEER_FRAME_BYTES;
  const link = await bench.up(bytesMax);
  const value = "v".repeat(PEER_FRAME_BYTES);
  const sends = [
    () => link.append(1, 1, 1, 0, writeOf("a", value)),
    () => link.send(chunkOf(value)),
  ];
  for (const [i, send] of sends.entries()) {
    bench.peer.latest.pause();
    let most = 0;
    for (let sent = 0; sent < 20; sent++) {
      send();
      most = Math.max(most, link.queuedBytes);
    }
    assert(most > bytesMax - 2 * PEER_FRAME_BYTES, `${most} bytes are within the bound`);
    assert(most <= bytesMax + 2 * PEER_FRAME_BYTES, `${most} bytes were queued`);
    assertEquals([link.overflows, link.queuedBytes], [i + 1, 0]);
    bench.clock.advance(PEER_RECONNECT_MS_MAX / 4);
    assertEquals([link.isUp, bench.events], [false, ["down node-b"]]);
    bench.clock.advance(PEER_RECONNECT_MS_MAX);
    assertEquals([link.isUp, bench.events.splice(0)], [true, ["down node-b", "up node-b"]]);
  }
  // It begins with short pauses again.
  bench.network.reset("a", "b");
  bench.clock.advance(PEER_RECONNECT_MS_MIN + ROUND_TRIP_MS);
  assertEquals(bench.events, ["down node-b", "up node-b"]);
  link.close();
});

Deno.test("PeerLink.whenRoom: what can wait goes on in its order as the peer takes what is queued", async () => {
  const bench = new Bench();
  const link = await bench.up();
  const value = "v".repeat(PEER_FRAME_BYTES);
  const sent: number[] = [];
  let most = 0;
  const pieces = 20;
  const ask = () => {
    for (let i = 0; i < pieces; i++) {
      link.whenRoom(() => {
        sent.push(i);
        link.send(chunkOf(value));
        most = Math.max(most, link.queuedBytes);
      });
    }
  };
  bench.peer.latest.pause();
  ask();
  const atOnce = sent.length;
  assert(atOnce >= 1 && atOnce <= PEER_QUEUE_BYTES_PAUSE / PEER_FRAME_BYTES + 1, `${atOnce}`);
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(sent.length, atOnce, "nothing goes on while the peer takes nothing");
  bench.peer.latest.resume();
  bench.clock.advance(20 * ROUND_TRIP_MS);
  assertEquals(sent, Array.from({ length: pieces }, (_, i) => i));
  assert(most <= PEER_QUEUE_BYTES_PAUSE + 2 * PEER_FRAME_BYTES, `${most} bytes were queued`);

  // What waits for a connection that breaks is dropped with it.
  sent.length = 0;
  bench.peer.latest.pause();
  ask();
  bench.network.reset("a", "b");
  bench.clock.advance(2 * PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, sent.length], [true, atOnce]);
  link.whenRoom(() => sent.push(-1));
  assertEquals(sent.at(-1), -1);
  link.close();
});

Deno.test("PeerLink.setAddress: goes to where the peer is now", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.setAddress({ host: "b", port: PORT });
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals(bench.events, [], "the same address is no news");

  const moved = await new Peer(bench.network, "c").start();
  link.setAddress({ host: "c", port: PORT });
  bench.clock.advance(PEER_RECONNECT_MS_MAX);
  assertEquals([link.isUp, bench.events], [true, ["down node-b", "up node-b"]]);
  assertEquals([bench.peer.latest.closed, moved.connections.length], [true, 1]);
  link.close();
});

Deno.test("PeerLink.setAddress: ends a wait for the old address", async () => {
  const bench = new Bench();
  const moved = await new Peer(bench.network, "c").start();
  const link = bench.link();
  bench.clock.advance(60_000);
  link.setAddress({ host: "c", port: PORT });
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals([link.isUp, moved.connections.length], [true, 1]);

  // Also if an attempt to connect to the old one is under way.
  const other = new Bench();
  const target = await new Peer(other.network, "c").start();
  await other.peer.start();
  other.network.cut("a", "b");
  const late = other.link();
  other.clock.advance(ROUND_TRIP_MS);
  late.setAddress({ host: "c", port: PORT });
  other.network.heal("a", "b");
  other.clock.advance(60_000);
  assertEquals([late.isUp, target.connections.length], [true, 1]);
  assertEquals(other.events, ["up node-b"]);
  link.close();
  late.close();
});

Deno.test("PeerLink.close: is the end, with one last onDown, and leaves no timer", async () => {
  const bench = new Bench();
  const link = await bench.up();
  link.append(1, 1, 1, 0, writeOf("a"));
  link.close();
  bench.clock.advance(60_000);
  assertEquals([link.isUp, bench.events, bench.peer.connections.length], [false, [
    "down node-b",
  ], 1]);
  assertEquals(bench.clock.timers, 0);

  for (const waitMs of [0, 1, 5, 200]) {
    const alone = new Bench();
    const never = alone.link();
    alone.clock.advance(waitMs);
    never.close();
    alone.clock.advance(60_000);
    assertEquals([alone.events, alone.clock.timers], [[], 0], `closed after ${waitMs} ms`);
  }
});

Deno.test("PeerLink: with a peer that takes binary frames, live writes go in them, in order with messages", async () => {
  const bench = new Bench();
  bench.peer.frames = FRAMES_VERSION + 1;
  const link = await bench.up();
  const writes = writeOf("a");
  link.append(1, 3, 10, 0, writes);
  link.append(2, 3, 11, 7, undefined);
  link.append(1, 3, 10, 1, writeOf("b"));
  link.send(chunkOf("x"));
  link.append(1, 3, 10, 2, writeOf("c"));
  bench.clock.advance(ROUND_TRIP_MS);
  const frames = bench.peer.received.map((frame) =>
    decodeAppend(frame, new ByteSlab()).map(({ partition, stream, commitSeq, entries }) =>
      `${partition}.${stream}:${entries.map(({ key }) => key).join("")}@${commitSeq}`
    ).join(" ")
  );
  assertEquals(frames, ["1.10:ab@1 2.11:@7", "1.10:c@2"]);
  assertEquals(outline(bench.peer.take()), ["resync_chunk"], "nothing went as JSON");
  const [frame] = bench.peer.received;
  assert(frame !== undefined);
  const [row] = writes.rows;
  const [part] = decodeAppend(frame, new ByteSlab());
  assertEquals(part?.rows[0], row, "the bytes that the primary stores");
});

Deno.test("PeerLink: a long message goes packed to a peer that takes binary frames; a short one does not, nor one for others", async () => {
  const long = chunkOf("a".repeat(PACKED_LINE_CHARACTERS_MIN));
  for (const frames of [FRAMES_VERSION, undefined]) {
    const bench = new Bench();
    bench.peer.frames = frames;
    const link = await bench.up();
    link.send(long);
    link.send(chunkOf("x"));
    bench.clock.advance(ROUND_TRIP_MS);
    const isPacked = frames !== undefined;
    assertEquals(bench.peer.take().length, isPacked ? 1 : 2);
    assertEquals(
      bench.peer.received.map((frame) => [frame[1], unpackMessage(frame)]),
      isPacked ? [[PACKED_FRAME, long]] : [],
    );
    link.close();
    bench.peer.stop();
  }
});

Deno.test("PeerLink: takes binary frames of a peer that has said so, and ends the connection if one is wrong", async () => {
  const bench = new Bench();
  bench.peer.frames = FRAMES_VERSION;
  const link = await bench.up();
  const acks = encodeAppended([[1, 3, 10, 7], [2, 3, 11, 2 ** 40]]);
  bench.peer.latest.sendFrame(acks);
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals([bench.frames, link.isUp], [[acks], true]);
  bench.peer.latest.sendFrame(beginFrame(99, 0));
  bench.clock.advance(ROUND_TRIP_MS);
  assertEquals([bench.frames.length, bench.events], [1, ["down node-b"]]);
});
