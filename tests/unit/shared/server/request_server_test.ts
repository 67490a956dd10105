import { assertEquals, assertExists, assertStringIncludes, assertThrows } from "@std/assert";
import { Acceptor } from "../../../../shared/server/acceptor.ts";
import { InvariantError, KvError } from "../../../../shared/base/errors.ts";
import {
  REPLY_BYTES_MAX,
  REPLY_BYTES_PAUSE,
  REQUESTS_PER_CONNECTION_MAX,
  WRITE_STALL_TIMEOUT_MS,
} from "../../../../shared/limits/admission.ts";
import { beginFrame, FRAMES_VERSION } from "../../../../shared/schema/binary_frames.ts";
import { FRAME_TIMEOUT_MS } from "../../../../shared/limits/wire.ts";
import type { Logger } from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import type { Reply, Request } from "../../../../shared/wire/messages.ts";
import {
  RequestServer,
  type RequestServerHandlers,
  type RequestServerOptions,
} from "../../../../shared/server/request_server.ts";
import type { AdmissionOptions } from "../../../../shared/admission/admission.ts";
import { testAdmission } from "../../../support/doubles/test_admission.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { RawPeer } from "../../../support/clients/raw_peer.ts";

interface Asked {
  request: Request;
  reply: (reply: Reply) => void;
}

interface Setup {
  options?: RequestServerOptions;
  log?: Logger;
  /** Answers at once; without it requests are kept in `asked`. */
  answer?: (request: Request) => Reply;
  onHello?: RequestServerHandlers["onHello"];
}

/** A server with one client that is a RawPeer. */
class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly asked: Asked[] = [];
  readonly closeReasons: (Error | undefined)[] = [];
  peer!: RawPeer;
  server!: RequestServer;

  static async open(setup: Setup = {}): Promise<Bench> {
    const bench = new Bench();
    const { clock, network } = bench;
    const transport = network.transport("server");
    const listener = await transport.listen({ host: "server", port: 1 }, (stream) => {
      bench.server = new RequestServer(stream, { clock, log: setup.log ?? NO_LOG }, {
        onRequest(request, reply) {
          if (setup.answer !== undefined) reply(setup.answer(request));
          else bench.asked.push({ request, reply });
        },
        onClose: (reason) => bench.closeReasons.push(reason),
        ...(setup.onHello === undefined ? {} : { onHello: setup.onHello }),
      }, setup.options);
    });
    network.transport("client").connect(
      listener.address,
      1_000,
      (stream) => bench.peer = new RawPeer(stream),
      () => {},
    );
    clock.advance();
    return bench;
  }

  /** Sends, and gives the messages that come back at once. */
  ask(...messages: object[]): Record<string, unknown>[] {
    this.peer.send(...messages);
    this.clock.advance();
    return this.peer.take();
  }

  askText(text: string): Record<string, unknown>[] {
    this.peer.sendText(text);
    this.clock.advance();
    return this.peer.take();
  }
}

const pong: Reply = { req_type: "ack", message: "pong" };

Deno.test("RequestServer repeats the request's id, number or text, and leaves out none", async () => {
  const bench = await Bench.open({ answer: () => pong });
  assertEquals(
    bench.ask({ id: 7, req_type: "ping" }, { id: "x", req_type: "ping" }, { req_type: "ping" }),
    [{ id: 7, ...pong }, { id: "x", ...pong }, { ...pong }],
  );
});

Deno.test("RequestServer sends replies with an id as they come", async () => {
  const bench = await Bench.open();
  bench.ask({ id: 1, req_type: "ping" }, { id: 2, req_type: "ping" });
  bench.asked[1]?.reply(pong);
  bench.clock.advance();
  assertEquals(bench.peer.take(), [{ id: 2, ...pong }]);
  bench.asked[0]?.reply(pong);
  bench.clock.advance();
  assertEquals(bench.peer.take(), [{ id: 1, ...pong }]);
  assertEquals(bench.server.outstanding, 0);
});

Deno.test("RequestServer answers requests without an id in their order, bad lines included", async () => {
  const bench = await Bench.open();
  bench.ask({ req_type: "get", key: "a" });
  bench.askText("not json\n");
  bench.ask({ req_type: "get", key: "b" }, { id: 9, req_type: "get", key: "c" });
  const [a, b, c] = bench.asked;
  b?.reply({ req_type: "ack", message: "b" });
  c?.reply({ req_type: "ack", message: "c" });
  bench.clock.advance();
  assertEquals(bench.peer.take().map(({ message }) => message), ["c"]);
  a?.reply({ req_type: "ack", message: "a" });
  bench.clock.advance();
  const [first, second, third, ...more] = bench.peer.take();
  assertEquals(first?.message, "a");
  assertEquals(second?.code, "bad_request");
  assertEquals(third?.message, "b");
  assertEquals(more, []);
});

Deno.test("RequestServer sends all the replies of one read in one write", async () => {
  const bench = await Bench.open({ answer: () => pong });
  // The network sets one timer for each write.
  let writes = 0;
  const setTimer = bench.clock.setTimer.bind(bench.clock);
  bench.clock.afterSockets = (callback) => void setTimer(0, callback);
  bench.clock.setTimer = (delayMs, callback) => {
    if (delayMs === 0) writes++;
    return setTimer(delayMs, callback);
  };
  const replies = bench.ask(...Array.from({ length: 500 }, (_, id) => ({ id, req_type: "ping" })));
  assertEquals(replies.length, 500);
  assertEquals(writes, 2, "the peer's write and the server's");
});

Deno.test("RequestServer answers what is malformed with bad_request and goes on", async () => {
  const bench = await Bench.open({ answer: () => pong });
  const cases: [line: string | Uint8Array, id: unknown][] = [
    ["{\n", undefined],
    ["[]\n", undefined],
    ['{"id":1}\n', 1],
    ['{"id":2,"req_type":"dance"}\n', 2],
    ['{"id":3,"req_type":"get","key":5}\n', 3],
    ['{"id":4,"req_type":"ack"}\n', 4],
    [
      '{"id":5,"req_type":"heartbeat","node":"n","incarnation":1,"instance":"i","sent":1,"epoch":1,"map":1,"unserved":0}\n',
      5,
    ],
    [new Uint8Array([0x7b, 0xff, 0x7d, 0x0a]), undefined],
  ];
  for (const [line, id] of cases) {
    bench.peer.stream.write(typeof line === "string" ? new TextEncoder().encode(line) : line);
    bench.clock.advance();
    const [reply, ...more] = bench.peer.take();
    assertEquals([reply?.req_type, reply?.code, reply?.id], ["error", "bad_request", id]);
    assertEquals(more, []);
    assertEquals(bench.ask({ id: 99, req_type: "ping" }), [{ id: 99, ...pong }]);
  }
});

Deno.test("RequestServer answers a frame that is too long and closes", async () => {
  const bench = await Bench.open({ answer: () => pong, options: { frameBytesMax: 100 } });
  const [good, bad] = bench.askText('{"id":1,"req_type":"ping"}\n{"id":2' + " ".repeat(200));
  assertEquals(good, { id: 1, ...pong });
  assertEquals(bad?.code, "frame_too_large");
  assertEquals(bench.peer.closed, true);
  bench.clock.advance();
  const [reason] = bench.closeReasons;
  assertEquals(reason instanceof KvError && reason.code, "frame_too_large");
});

Deno.test("RequestServer gives up a message that does not go on", async () => {
  const bench = await Bench.open({ answer: () => pong });
  bench.askText('{"id":1,"req_');
  bench.clock.advance(FRAME_TIMEOUT_MS - 1);
  assertEquals([bench.peer.text, bench.peer.closed], ["", false]);
  bench.clock.advance(2);
  const [reply] = bench.peer.take();
  assertEquals([reply?.req_type, reply?.code], ["error", "timeout"]);
  assertEquals(bench.peer.closed, true);
  assertEquals(bench.clock.timers, 0);
});

Deno.test("RequestServer measures a message's time from that message's own beginning", async () => {
  const bench = await Bench.open({ answer: () => pong });
  for (let i = 0; i < 10; i++) {
    // Each ends a message and begins the next.
    bench.askText(i === 0 ? '{"id":1' : ',"req_type":"ping"}\n{"id":1');
    bench.clock.advance(FRAME_TIMEOUT_MS / 2);
  }
  assertEquals(bench.peer.closed, false);
  assertEquals(bench.askText(',"req_type":"ping"}\n').length, 1);
  bench.clock.advance(FRAME_TIMEOUT_MS * 3);
  assertEquals(bench.peer.closed, false);
  assertEquals(bench.clock.timers, 0);
});

Deno.test("RequestServer lets an idle connection be, and sets no timer for it", async () => {
  const bench = await Bench.open({ answer: () => pong });
  bench.clock.advance(24 * 3_600_000);
  assertEquals(bench.clock.timers, 0);
  assertEquals(bench.ask({ id: 1, req_type: "ping" }).length, 1);
});

Deno.test("RequestServer takes no more than a bounded number of unanswered requests", async () => {
  const bench = await Bench.open();
  const total = 3 * REQUESTS_PER_CONNECTION_MAX;
  bench.ask(...Array.from({ length: total }, (_, id) => ({ id, req_type: "ping" })));
  assertEquals(bench.asked.length, REQUESTS_PER_CONNECTION_MAX);
  const seen: unknown[] = [];
  while (bench.asked.length > 0) {
    for (const { request, reply } of bench.asked.splice(0)) {
      seen.push(request.id);
      reply(pong);
    }
    bench.clock.advance();
    assertEquals(bench.asked.length <= REQUESTS_PER_CONNECTION_MAX, true);
  }
  assertEquals(seen, Array.from({ length: total }, (_, id) => id));
  assertEquals(bench.peer.take().length, total);
});

Deno.test("RequestServer stops reading while replies are unread, and goes on when they are read", async () => {
  const value = "v".repeat(100_000);
  let answered = 0;
  const bench = await Bench.open({
    answer: () => {
      answered++;
      return { req_type: "data", message: value };
    },
  });
  bench.peer.stream.pause();
  const total = 200;
  bench.ask(...Array.from({ length: total }, (_, id) => ({ id, req_type: "get", key: "k" })));
  assertEquals(answered < 2 + REPLY_BYTES_PAUSE / value.length, true, `${answered} answered`);
  bench.peer.stream.resume();
  bench.clock.advance();
  assertEquals(bench.peer.take().length, total);
  assertEquals(answered, total);
});

Deno.test("RequestServer cuts off a client that does not read what it asked for", async () => {
  const bench = await Bench.open();
  bench.peer.stream.pause();
  const value = "v".repeat(8_000_000);
  bench.ask(...Array.from({ length: 40 }, (_, id) => ({ id, req_type: "get", key: "k" })));
  let replied = 0;
  for (const { reply } of bench.asked) {
    if (bench.server.connection.closed) break;
    reply({ req_type: "data", message: value });
    replied++;
  }
  assertEquals(replied, Math.floor(REPLY_BYTES_MAX / value.length) + 1);
  bench.clock.advance();
  assertEquals(bench.closeReasons.length, 1);
  // Late replies are of no consequence.
  for (const { reply } of bench.asked.slice(replied)) reply(pong);
});

Deno.test("RequestServer cuts off a client that takes nothing for a long time", async () => {
  const bench = await Bench.open({ answer: () => pong });
  bench.peer.stream.pause();
  bench.ask({ id: 1, req_type: "ping" });
  bench.clock.advance(WRITE_STALL_TIMEOUT_MS - 1);
  assertEquals(bench.closeReasons.length, 0);
  bench.clock.advance(2);
  const [reason] = bench.closeReasons;
  assertEquals(reason instanceof KvError && reason.code, "timeout");
  assertEquals(bench.clock.timers, 0);
});

Deno.test("RequestServer lets a slow client be", async () => {
  const value = "v".repeat(10_000);
  const bench = await Bench.open({ answer: () => ({ req_type: "data", message: value }) });
  bench.peer.stream.pause();
  bench.ask(...Array.from({ length: 10 }, (_, id) => ({ id, req_type: "get", key: "k" })));
  for (let i = 0; i < 10; i++) {
    bench.clock.advance(WRITE_STALL_TIMEOUT_MS * 0.9);
    bench.peer.stream.resume();
    bench.clock.advance();
    bench.peer.stream.pause();
    bench.ask({ id: 100 + i, req_type: "get", key: "k" });
  }
  assertEquals(bench.closeReasons, []);
});

Deno.test("RequestServer answers all that a client asked before it half-closed, then closes", async () => {
  const bench = await Bench.open();
  bench.peer.send({ id: 1, req_type: "ping" }, { id: 2, req_type: "ping" });
  bench.peer.stream.close(true);
  bench.clock.advance();
  assertEquals(bench.asked.length, 2);
  assertEquals(bench.server.connection.closed, false);
  bench.asked[0]?.reply(pong);
  assertEquals(bench.server.connection.closed, false);
  bench.asked[1]?.reply(pong);
  assertEquals(bench.server.connection.closed, true);
  bench.clock.advance();
  assertEquals(bench.closeReasons, [undefined]);
  assertEquals(bench.network.openEnds, 0);
});

Deno.test("RequestServer turns what a handler throws into an error reply", async () => {
  const logged: string[] = [];
  const log = { ...NO_LOG, error: (event: string) => void logged.push(event) };
  const bench = await Bench.open({
    log,
    answer: (request) => {
      if (request.req_type === "ping") {
        throw new KvError("overloaded", "too much", { detail: { a: 1 } });
      }
      throw new Error("a slip");
    },
  });
  assertEquals(bench.ask({ id: 1, req_type: "ping" }), [
    { id: 1, req_type: "error", code: "overloaded", message: "too much", detail: { a: 1 } },
  ]);
  assertEquals(logged, []);
  assertEquals(bench.ask({ id: 2, req_type: "stats" }), [
    { id: 2, req_type: "error", code: "internal", message: "a slip" },
  ]);
  assertEquals(logged.length, 1);
  assertEquals(bench.server.outstanding, 0);
});

for (const defect of [new InvariantError("broken"), new TypeError("a slip")]) {
  Deno.test(`RequestServer does not answer with a defect of ours: ${defect.name}`, async () => {
    const bench = await Bench.open({
      answer: () => {
        throw defect;
      },
    });
    assertEquals(assertThrows(() => bench.ask({ id: 1, req_type: "ping" })), defect);
  });
}

Deno.test("RequestServer reports a second answer and does not send it", async () => {
  const logged: string[] = [];
  const bench = await Bench.open({
    log: { ...NO_LOG, error: (event: string) => void logged.push(event) },
  });
  bench.ask({ id: 1, req_type: "ping" });
  const [asked] = bench.asked;
  assertExists(asked);
  asked.reply(pong);
  asked.reply(pong);
  bench.clock.advance();
  assertEquals(bench.peer.take().length, 1);
  assertEquals(logged.length, 1);
  assertEquals(bench.server.outstanding, 0);
});

Deno.test("RequestServer takes requests alone", async () => {
  const bench = await Bench.open();
  const confirmed = { id: 4, req_type: "confirmed", round: 1, refused: [] };
  const replies = bench.ask(confirmed, { ...confirmed, req_type: "leave" }, {
    ...confirmed,
    req_type: "ack",
  });
  assertEquals(replies.map(({ id, code, message }) => [id, code, message]), [
    [4, "bad_request", "confirmed: only for members of the cluster, after a hello that says so"],
    [4, "bad_request", "leave: only for members of the cluster, after a hello that says so"],
    [4, "bad_request", "ack: not a request"],
  ]);
  assertEquals(bench.asked, []);
});

const HELLO = { id: 1, req_type: "hello", protocol: 1, role: "peer", node: "n2" };

Deno.test("RequestServer: who takes the connection over at a hello gets everything behind it, and nothing before", async () => {
  const taken: string[] = [];
  const isFirst: boolean[] = [];
  const bench = await Bench.open({
    answer: () => pong,
    onHello: (_hello, _connection, first) => {
      isFirst.push(first);
      return () => ({
        onMessage: ({ req_type }) => void taken.push(req_type),
        onInvalid: () => void taken.push("invalid"),
        onClose: () => void taken.push("closed"),
      });
    },
  });
  const confirm = { req_type: "confirm", round: 1, parts: [] };
  const replies = bench.ask({ id: 0, req_type: "ping" }, HELLO, confirm, { req_type: "ping" });
  assertEquals(replies.map(({ id, req_type }) => [id, req_type]), [[0, "ack"], [1, "ack"]]);
  assertEquals([taken, isFirst], [["confirm", "ping"], [false]]);
  bench.network.crash("client");
  bench.clock.advance();
  assertEquals([taken.at(-1), bench.closeReasons.length], ["closed", 0]);
});

Deno.test("RequestServer: binary frames are agreed on in the handshake of a peer, and not taken otherwise", async () => {
  for (
    const [role, frames, agreed] of [
      ["peer", undefined, undefined],
      ["peer", 0, undefined],
      ["peer", 1, 1],
      ["peer", FRAMES_VERSION + 7, FRAMES_VERSION],
      ["member", 1, undefined],
    ] as const
  ) {
    const taken: string[] = [];
    const told: (number | undefined)[] = [];
    const owner = (version: number | undefined) => {
      told.push(version);
      return {
        onMessage: ({ req_type }: { req_type: string }) => void taken.push(req_type),
        onFrame: (frame: Uint8Array) => void taken.push(`frame ${frame[1]}`),
        onInvalid: () => void taken.push("invalid"),
        onClose: () => {},
      };
    };
    const bench = await Bench.open({
      answer: () => pong,
      onHello: () => owner,
    });
    const [ack] = bench.ask({ ...HELLO, role, ...(frames === undefined ? {} : { frames }) });
    assertEquals([ack?.req_type, ack?.frames, told], ["ack", agreed, [agreed]]);
    bench.peer.stream.write(new Uint8Array([...beginFrame(7, 0), 10]));
    bench.ask({ req_type: "ping" });
    assertEquals(taken, [agreed === undefined ? "invalid" : "frame 7", "ping"]);
  }
});

Deno.test("RequestServer: a hello that is refused ends the connection, and nothing behind it is carried out", async () => {
  const bench = await Bench.open({
    onHello: () => {
      throw new KvError("forbidden", "not you");
    },
  });
  const replies = bench.ask(HELLO, { id: 2, req_type: "ping" });
  assertEquals(replies, [{ id: 1, req_type: "error", code: "forbidden", message: "not you" }]);
  assertEquals([bench.asked, bench.server.connection.closed], [[], true]);
});

Deno.test("RequestServer does nothing with a reply after the client has gone", async () => {
  const bench = await Bench.open();
  bench.ask({ id: 1, req_type: "ping" }, { req_type: "ping" });
  bench.network.crash("client");
  bench.clock.advance();
  assertEquals(bench.closeReasons.length, 1);
  for (const { reply } of bench.asked) reply(pong);
  bench.clock.advance();
  assertEquals(bench.server.outstanding, 0);
});

async function acceptorBench(options: AdmissionOptions = {}) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const acceptor = new Acceptor({
    json: (stream, seat) =>
      void new RequestServer(stream, { clock, log: NO_LOG }, {
        onRequest: (_, reply) => reply(pong),
      }, { seat }),
  }, testAdmission(options, clock));
  const listener = await network.transport("server").listen(
    { host: "server", port: 1 },
    (stream) => acceptor.accept(stream),
  );
  const connect = (): RawPeer => {
    const peers: RawPeer[] = [];
    network.transport("client").connect(
      listener.address,
      1_000,
      (stream) => peers.push(new RawPeer(stream)),
      () => {},
    );
    clock.advance();
    const [peer] = peers;
    assertExists(peer);
    return peer;
  };
  return { clock, acceptor, connect };
}

Deno.test("Acceptor hands a stream that begins with a brace to the JSON wire, whole", async () => {
  const { clock, connect } = await acceptorBench();
  const peer = connect();
  for (const char of '{"id":1,"req_type":"ping"}\n') {
    peer.sendText(char);
    clock.advance();
  }
  assertEquals(peer.take(), [{ id: 1, ...pong }]);
});

Deno.test("Acceptor tells anything else what is expected, and closes", async () => {
  for (
    const text of ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"]
  ) {
    const { clock, acceptor, connect } = await acceptorBench();
    const peer = connect();
    peer.sendText(text);
    clock.advance();
    const [reply, ...more] = peer.take();
    assertEquals([reply?.req_type, reply?.code], ["error", "bad_request"]);
    assertStringIncludes(String(reply?.message), "JSON");
    assertEquals(more, []);
    assertEquals([peer.closed, acceptor.open], [true, 0]);
  }
});

Deno.test("Acceptor refuses connections beyond its limit, and takes new ones when others go", async () => {
  const { clock, acceptor, connect } = await acceptorBench({
    connectionsMax: 2,
    peerConnectionsMax: 0,
  });
  const [one, two] = [connect(), connect()];
  for (const peer of [one, two]) {
    peer.send({ id: 1, req_type: "ping" });
    clock.advance();
    assertEquals(peer.take(), [{ id: 1, ...pong }]);
  }
  const three = connect();
  assertEquals(three.take()[0]?.code, "overloaded");
  assertEquals([three.closed, acceptor.open], [true, 2]);
  one.stream.close();
  clock.advance();
  const four = connect();
  for (const peer of [two, four]) {
    peer.send({ id: 1, req_type: "ping" });
    clock.advance();
    assertEquals(peer.take(), [{ id: 1, ...pong }]);
  }
  acceptor.closeAll();
  clock.advance();
  assertEquals([two.closed, four.closed, acceptor.open], [true, true, 0]);
});

Deno.test("RequestServer.retire ends a connection between two requests, when all that came is answered", async () => {
  const bench = await Bench.open();
  bench.ask({ req_type: "ping" }, { req_type: "ping" });
  bench.askText('{"req_type":');
  bench.server.retire();
  bench.clock.advance();
  bench.asked[0]?.reply(pong);
  bench.asked[1]?.reply(pong);
  bench.clock.advance();
  assertEquals([bench.peer.take().length, bench.closeReasons], [2, []]);
  // The request that had begun belongs to what came.
  bench.askText('"ping"}\n');
  bench.asked[2]?.reply(pong);
  bench.clock.advance();
  assertEquals([bench.peer.take().length, bench.closeReasons], [1, [undefined]]);
});

Deno.test("RequestServer.retire asks whoever has said hello to end the connection, and answers until then", async () => {
  const bench = await Bench.open({ answer: () => pong });
  bench.server.connection.peer = {};
  bench.server.retire();
  bench.clock.advance();
  assertEquals(bench.peer.take(), [{ req_type: "closing" }]);
  assertEquals(bench.ask({ req_type: "ping" }), [{ ...pong }]);
});

Deno.test("RequestServer.endInput answers what it has read, and nothing more", async () => {
  const bench = await Bench.open();
  bench.ask({ req_type: "ping" });
  bench.server.endInput();
  bench.ask({ req_type: "ping" });
  assertEquals(bench.asked.length, 1);
  bench.asked[0]?.reply(pong);
  bench.clock.advance();
  assertEquals([bench.peer.take().length, bench.closeReasons], [1, [undefined]]);
});
