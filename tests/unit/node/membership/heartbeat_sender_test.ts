import { assertEquals } from "@std/assert";
import { HeartbeatSender } from "../../../../node/membership/heartbeat_sender.ts";
import type { LogFields } from "../../../../shared/platform/logger.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import type { Address, DatagramSocket } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const COORDINATOR: Address = { host: "coordinator", port: 3769 };

/** A node that beats every 500 ms, and a coordinator that does as it is told. */
class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly acked: [sentMs: number, epoch: number][] = [];
  readonly overSession: Message<"heartbeat">[] = [];
  readonly datagrams: Message<"heartbeat">[] = [];
  readonly logged: string[] = [];
  readonly sender: HeartbeatSender;
  from: Address = { host: "", port: 0 };
  epoch = 7;
  answer: (heartbeat: Message<"heartbeat">) => object | undefined = ack;
  #socket: DatagramSocket | undefined;

  constructor() {
    const note = (event: string, _fields?: LogFields) => void this.logged.push(event);
    const log = { debug: note, info: note, warn: note, error: note };
    const transport = this.network.transport("node");
    this.sender = new HeartbeatSender({ clock: this.clock, transport, log }, {
      node: "n1",
      instance: "i1",
      incarnation: 3,
      epoch: () => this.epoch,
      sendOverSession: (message) => this.overSession.push(message) > 0,
      onAck: (sentMs, epoch) => this.acked.push([sentMs, epoch]),
    });
  }

  async start(): Promise<void> {
    const transport = this.network.transport("coordinator");
    this.#socket = await transport.bindDatagram(COORDINATOR, (bytes, from) => {
      const heartbeat: Message<"heartbeat"> = JSON.parse(new TextDecoder().decode(bytes));
      this.from = from;
      this.datagrams.push(heartbeat);
      const reply = this.answer(heartbeat);
      if (reply !== undefined) this.send(reply);
    });
    await this.clock.run(10);
    this.sender.start(COORDINATOR, 500);
    await this.clock.run(10);
  }

  send(message: object | string): void {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    this.#socket?.send(new TextEncoder().encode(text), this.from);
  }
}

function ack(heartbeat: Message<"heartbeat">): object {
  const { node, instance, sent } = heartbeat;
  return { req_type: "heartbeat_ack", node, instance, sent, epoch: 7 };
}

Deno.test("HeartbeatSender beats at once and at every interval, and passes acknowledgements on", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.clock.run(1_000);
  const sent = bench.datagrams.map((heartbeat) => heartbeat.sent);
  assertEquals(sent, [10, 510, 1_010]);
  assertEquals(bench.acked, sent.map((sentMs) => [sentMs, 7]));
  const [first] = bench.datagrams;
  assertEquals(first, {
    req_type: "heartbeat",
    node: "n1",
    incarnation: 3,
    instance: "i1",
    sent: 10,
    epoch: 7,
  });
  bench.sender.stop();
});

Deno.test("HeartbeatSender ignores acknowledgements of what this process did not send", async () => {
  const bench = new Bench();
  bench.answer = () => undefined;
  await bench.start();
  const heartbeat = bench.datagrams[0];
  if (heartbeat === undefined) throw new Error("no heartbeat was sent");
  const good = ack(heartbeat);
  for (
    const wrong of [
      { ...good, node: "n2" },
      { ...good, instance: "i0" },
      { ...good, sent: heartbeat.sent + 1 },
      { ...good, sent: 1e9 },
      { ...good, sent: "10" },
      { ...good, epoch: -1 },
      { ...good, req_type: "heartbeat" },
      "{",
      "null",
      "\xff\xfe",
    ]
  ) {
    bench.send(wrong);
    await bench.clock.run(2);
    assertEquals(bench.acked, [], JSON.stringify(wrong));
  }
  bench.send(good);
  bench.send(good);
  await bench.clock.run(2);
  assertEquals(bench.acked, [[10, 7], [10, 7]], "a doubled datagram says the same twice");
  bench.sender.stop();
});

Deno.test("HeartbeatSender takes to the session after two silent intervals, and warns once", async () => {
  const bench = new Bench();
  await bench.start();
  bench.network.cut("node", "coordinator");
  await bench.clock.run(1_000);
  assertEquals(bench.overSession, [], "two intervals have not passed");
  for (let i = 0; i < 4; i++) {
    await bench.clock.run(500);
    const message = bench.overSession[i];
    if (message === undefined) throw new Error("nothing was sent over the session");
    bench.sender.onSessionAck(ack(message) as Message<"heartbeat_ack">);
  }
  assertEquals(bench.acked.length, 1 + 4);
  const warnings = () => bench.logged.filter((event) => event.includes("not acknowledged")).length;
  assertEquals(warnings(), 1);

  bench.network.heal("node", "coordinator");
  await bench.clock.run(1_000);
  const before = bench.overSession.length;
  await bench.clock.run(2_000);
  assertEquals(bench.overSession.length, before, "datagrams are enough again");
  bench.network.cut("node", "coordinator");
  await bench.clock.run(2_000);
  const last = bench.overSession.at(-1);
  if (last !== undefined) bench.sender.onSessionAck(ack(last) as Message<"heartbeat_ack">);
  assertEquals(warnings(), 2, "one warning an episode");
  bench.sender.stop();
});

Deno.test("HeartbeatSender does not blame UDP when nobody answers at all", async () => {
  const bench = new Bench();
  bench.answer = () => undefined;
  await bench.start();
  await bench.clock.run(5_000);
  assertEquals(bench.logged, []);
  bench.sender.stop();
});

Deno.test("HeartbeatSender.start goes on with another interval", async () => {
  const bench = new Bench();
  await bench.start();
  bench.sender.start(COORDINATOR, 100);
  await bench.clock.run(1_010);
  assertEquals(bench.datagrams.length, 1 + 1 + 10);
  bench.sender.stop();
});

Deno.test("HeartbeatSender.stop leaves no timer", async () => {
  const bench = new Bench();
  await bench.start();
  bench.sender.stop();
  await bench.clock.run(2_000);
  assertEquals(bench.datagrams.length, 1);
  assertEquals(bench.clock.timers, 0);
});
