import { assertEquals, assertExists } from "@std/assert";
import { Connection, type ConnectionHandlers } from "../../../../shared/wire/connection.ts";
import { fromErrorReply, toErrorReply } from "../../../../shared/wire/error_reply.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { beginFrame } from "../../../../shared/schema/binary_frames.ts";
import { WRITE_JOIN_BYTES } from "../../../../shared/limits/connections.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import type { Address, Stream, StreamHandlers } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** A stream that only notes what is done to it. */
class NotedStream implements Stream {
  readonly remote: Address = { host: "there", port: 1 };
  queuedBytes = 0;
  isHeldBack = false;
  readonly writes: string[] = [];
  readonly bytes: Uint8Array[] = [];
  readonly calls: string[] = [];
  handlers: StreamHandlers | undefined;

  start(handlers: StreamHandlers): void {
    this.handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    this.bytes.push(bytes);
    this.writes.push(new TextDecoder().decode(bytes));
  }

  pause(): void {
    this.calls.push("pause");
  }

  resume(): void {
    this.calls.push("resume");
  }

  close(flush = false): void {
    this.calls.push(flush ? "close with flush" : "close");
  }

  receive(text: string): void {
    this.handlers?.onData(new TextEncoder().encode(text));
  }
}

function open(handlers: Partial<ConnectionHandlers> = {}) {
  const clock = new ManualClock();
  const stream = new NotedStream();
  const messages: Message[] = [];
  const closes: (Error | undefined)[] = [];
  const connection = new Connection(stream, clock, {
    onMessage: (message) => messages.push(message),
    onInvalid: () => {},
    onClose: (reason) => closes.push(reason),
    ...handlers,
  });
  return { clock, stream, messages, closes, connection };
}

const ping = (id: number) => `{"id":${id},"req_type":"ping"}\n`;

Deno.test("Connection: where the end of a line is held back, a part of it is acknowledged by a blank line", () => {
  for (const isHeldBack of [false, true]) {
    const { stream, messages } = open();
    stream.isHeldBack = isHeldBack;
    stream.receive(ping(1));
    stream.receive(ping(2) + ping(3).slice(0, 9));
    assertEquals(stream.writes.splice(0), isHeldBack ? ["\n"] : []);
    stream.receive(ping(3).slice(9));
    assertEquals(stream.writes, []);
    assertEquals(messages.length, 3);
  }
});

Deno.test("Connection sends what one turn brings in one write, at its end", () => {
  const { clock, stream, connection } = open();
  connection.send({ a: 1 });
  connection.sendText('{"b":2}');
  assertEquals(stream.writes, []);
  assertEquals(connection.queuedBytes, 16);
  clock.settle();
  assertEquals(stream.writes, ['{"a":1}\n{"b":2}\n']);
});

Deno.test("Connection sends what one read brings in one write, at the end of the turn", () => {
  const { stream, clock } = open({
    onMessage: (message, connection) => connection.send({ id: message.id }),
  });
  stream.receive(ping(1) + ping(2));
  assertEquals(stream.writes, []);
  clock.settle();
  assertEquals(stream.writes, ['{"id":1}\n{"id":2}\n']);
});

Deno.test("Connection does not gather more than a bounded amount before it writes", () => {
  const { stream, connection } = open();
  const json = JSON.stringify({ a: "x".repeat(WRITE_JOIN_BYTES) });
  connection.sendText(json);
  assertEquals(stream.writes, [json + "\n"]);
});

Deno.test("Connection encodes any text", () => {
  for (
    const text of ["", "plain", "ž", "aaaa€", "🐎🐎🐎", "x".repeat(1000) + "č" + "y".repeat(1000)]
  ) {
    const { clock, stream, connection } = open();
    connection.send({ text });
    clock.settle();
    assertEquals(stream.writes, [JSON.stringify({ text }) + "\n"]);
  }
});

Deno.test("Connection.flush writes at once, and nothing later", () => {
  const { clock, stream, connection } = open();
  connection.send({ a: 1 });
  connection.flush();
  assertEquals(stream.writes.length, 1);
  clock.settle();
  assertEquals(stream.writes.length, 1);
});

Deno.test("Connection.pause holds back even what was read already; resume gives it in order", () => {
  const seen: unknown[] = [];
  const { clock, stream, connection } = open({
    onMessage(message, connection) {
      seen.push(message.id);
      if (message.id === 2) connection.pause();
    },
  });
  stream.receive(ping(1) + ping(2) + ping(3) + '{"id":4,');
  assertEquals([seen, stream.calls], [[1, 2], ["pause"]]);
  connection.pause();
  connection.resume();
  connection.resume();
  assertEquals([seen, stream.calls], [[1, 2], ["pause", "resume"]]);
  stream.receive('"req_type":"ping"}\n');
  clock.settle();
  assertEquals(seen, [1, 2, 3, 4]);
});

Deno.test("Connection gives nothing after close, not even of what was read already", () => {
  const seen: unknown[] = [];
  const { clock, stream, connection } = open({
    onMessage(message, connection) {
      seen.push(message.id);
      connection.send({ bye: message.id });
      connection.close(true);
    },
  });
  stream.receive(ping(1) + ping(2));
  stream.receive(ping(3));
  connection.send({ late: true });
  clock.settle();
  assertEquals(seen, [1]);
  assertEquals(stream.writes, ['{"bye":1}\n']);
  assertEquals(stream.calls, ["close with flush"]);
  assertEquals(connection.closed, true);
});

Deno.test("Connection.close without flush drops what this turn sent", () => {
  const { clock, stream, connection } = open();
  connection.send({ a: 1 });
  connection.close();
  clock.settle();
  assertEquals([stream.writes, stream.calls], [[], ["close"]]);
});

Deno.test("Connection passes on the stream's end, drain and close", () => {
  const events: string[] = [];
  const { stream } = open({
    onEnd: () => events.push("end"),
    onDrain: () => events.push("drain"),
    onClose: (reason) => events.push(`close ${reason?.message}`),
  });
  stream.handlers?.onDrain?.();
  stream.handlers?.onEnd?.();
  stream.handlers?.onClose(new Error("gone"));
  assertEquals(events, ["drain", "end", "close gone"]);
});

Deno.test("Connection gives the end only after all messages, also when paused", () => {
  const events: unknown[] = [];
  const { clock, stream, connection } = open({
    onMessage(message, connection) {
      events.push(message.id);
      if (message.id === 1) connection.pause();
    },
    onEnd: () => events.push("end"),
  });
  stream.receive(ping(1) + ping(2));
  stream.handlers?.onEnd?.();
  assertEquals(events, [1]);
  connection.resume();
  clock.settle();
  assertEquals(events, [1, 2, "end"]);
});

Deno.test("Connection closes itself at the other side's end when nobody minds", () => {
  const { clock, stream, connection } = open();
  connection.send({ a: 1 });
  stream.handlers?.onEnd?.();
  clock.settle();
  assertEquals([stream.writes.length, stream.calls], [1, ["close with flush"]]);
});

Deno.test("Connection says what a bad line's id is, and closes only after what is fatal", () => {
  const invalid: unknown[] = [];
  const { stream, connection } = open({
    onInvalid: (error, id) => invalid.push([error.code, id]),
  });
  stream.receive('{"id":5,"req_type":"?"}\nnonsense\n');
  assertEquals(invalid, [["bad_request", 5], ["bad_request", undefined]]);
  assertEquals(connection.closed, false);
});

Deno.test("an error survives the way over the wire; a code of the future is internal", () => {
  const error = new KvError("not_primary", "no", { detail: { primary: "b" } });
  const reply = JSON.parse(JSON.stringify(toErrorReply(error)));
  const back = fromErrorReply(reply);
  assertEquals([back.code, back.message, back.detail], ["not_primary", "no", { primary: "b" }]);
  assertEquals(back.retryable, true);
  const strange = fromErrorReply({ req_type: "error", code: "tomorrow", message: "m" });
  assertExists(strange);
  assertEquals([strange.code, strange.message], ["internal", "tomorrow: m"]);
});

Deno.test("Connection: frames and lines of one turn leave in one write, in order, and are taken so", () => {
  const sender = open();
  const text = (byte: number) => {
    const frame = beginFrame(1, 1);
    frame[6] = byte;
    return frame;
  };
  const { connection } = sender;
  connection.send({ req_type: "ping", id: 1 });
  connection.sendFrame(text(2));
  connection.sendFrame(text(3));
  connection.send({ req_type: "ping", id: 4 });
  assertEquals(connection.queuedBytes > 14, true);
  sender.clock.advance(0);
  assertEquals([sender.stream.bytes.length, connection.queuedBytes], [1, 0]);
  connection.sendFrame(text(5));
  connection.close();
  sender.clock.advance(0);
  assertEquals(sender.stream.bytes.length, 1, "what had not left is dropped");

  const heard: unknown[] = [];
  const receiver = open({
    onMessage: ({ id }) => void heard.push(id),
    onFrame: (frame) => void heard.push(`frame ${frame[6]}`),
  });
  receiver.connection.takeFrames();
  for (const bytes of sender.stream.bytes) receiver.stream.handlers?.onData(bytes);
  assertEquals(heard, [1, "frame 2", "frame 3", 4]);
});

Deno.test("Connection: frames that are together too long leave before the turn ends", () => {
  const { stream, connection } = open();
  for (let i = 0; i < 3; i++) connection.sendFrame(beginFrame(1, WRITE_JOIN_BYTES / 2));
  assertEquals(stream.bytes.map(({ length }) => length), [WRITE_JOIN_BYTES + 12]);
});
