import { assertEquals } from "@std/assert";
import { HeartbeatSender } from "../../../../node/membership/heartbeat_sender.ts";
import type { LogFields } from "../../../../shared/platform/logger.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import type { Address, DatagramSocket } from "../../../../shared/platform/transport.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { DatagramChannel } from "../../../../shared/security/datagram_channel.ts";
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
  /** The coordinator's end, if the cluster is secured. */
  channel: DatagramChannel | undefined;
  readonly #key: Secret | undefined;
  #socket: DatagramSocket | undefined;

  /** @param key of a secured cluster's session */
  constructor(key?: Secret) {
    this.#key = key;
    this.channel = key === undefined ? undefined : new DatagramChannel(key, "coordinator");
    const note = (event: string, _fields?: LogFields) => void this.logged.push(event);
    const log = { debug: note, info: note, warn: note, error: note };
    const transport = this.network.transport("node");
    this.sender = new HeartbeatSender({ clock: this.clock, transport, log }, {
      node: "n1",
      instance: "i1",
      incarnation: 3,
      epoch: () => this.epoch,
      mapEpoch: () => this.epoch + 1,
      unserved: () => 2,
      batch: () => 12,
      sendOverSession: (message) => this.overSession.push(message) > 0,
      onAck: ({ monotonicMs }, { epoch }) => this.acked.push([monotonicMs, epoch]),
      secured: key !== undefined,
    });
  }

  async start(): Promise<void> {
    const transport = this.network.transport("coordinator");
    this.#socket = await transport.bindDatagram(COORDINATOR, (bytes, from) => {
      const message = this.channel === undefined ? bytes : this.channel.open(bytes);
      const heartbeat: Message<"heartbeat"> = JSON.parse(new TextDecoder().decode(message));
      this.from = from;
      this.datagrams.push(heartbeat);
      const reply = this.answer(heartbeat);
      if (reply !== undefined) this.send(reply);
    });
    await this.clock.run(10);
    this.sender.start({ to: COORDINATOR, intervalMs: 500, at: 70, key: this.#key });
    await this.clock.run(10);
  }

  send(message: object | string): void {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    const bytes = new TextEncoder().encode(text);
    this.sendBytes(this.channel?.seal(bytes) ?? bytes);
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket?.send(bytes, this.from);
  }
}

function ack(heartbeat: Message<"heartbeat">, at = 80): Message<"heartbeat_ack"> {
  const { node, instance, sent } = heartbeat;
  return { req_type: "heartbeat_ack", node, instance, sent, epoch: 7, at, lease: true };
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
    map: 8,
    heard: 70,
    unserved: 2,
    batch: 12,
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

Deno.test("HeartbeatSender warns once that datagrams are not acknowledged while the session is", async () => {
  const bench = new Bench();
  await bench.start();
  const answered = async (count: number) => {
    for (let i = 0; i < count; i++) {
      await bench.clock.run(500);
      const message = bench.overSession.at(-1);
      if (message === undefined) throw new Error("nothing was sent over the session");
      bench.sender.onSessionAck(ack(message, bench.clock.monotonicMs()));
    }
  };
  const warnings = () => bench.logged.filter((event) => event.includes("not acknowledged")).length;
  bench.network.cut("node", "coordinator");
  await answered(6);
  assertEquals(bench.acked.length, 1 + 6);
  assertEquals(warnings(), 1);
  bench.network.heal("node", "coordinator");
  await answered(6);
  bench.network.cut("node", "coordinator");
  await answered(6);
  assertEquals(warnings(), 2, "one warning an episode");
  bench.sender.stop();
});

Deno.test("HeartbeatSender repeats what it has heard last over the session, and by no other way", async () => {
  const bench = new Bench();
  bench.answer = (heartbeat) => ack(heartbeat, 9_999);
  await bench.start();
  const heard = () => bench.overSession.at(-1)?.heard;
  await bench.clock.run(500);
  assertEquals(heard(), 70, "a datagram shows nothing of the session");
  const sessionAck = (at: number) => {
    const last = bench.overSession.at(-1);
    if (last !== undefined) bench.sender.onSessionAck(ack(last, at));
  };
  sessionAck(90);
  sessionAck(85);
  await bench.clock.run(500);
  assertEquals(heard(), 90, "of two, the later one");
  bench.sender.onSessionDown();
  await bench.clock.run(500);
  assertEquals(heard(), undefined);
  bench.sender.stop();
});

Deno.test("HeartbeatSender tells at once what it hears after it had only old news", async () => {
  const bench = new Bench();
  await bench.start();
  await bench.clock.run(2_000);
  const before = bench.overSession.length;
  const last = bench.overSession.at(-1);
  if (last === undefined) throw new Error("nothing was sent over the session");
  bench.sender.onSessionAck(ack(last, 100));
  assertEquals(bench.overSession.slice(before).map(({ heard }) => heard), [100]);
  const fresh = bench.overSession.at(-1);
  if (fresh !== undefined) bench.sender.onSessionAck(ack(fresh, 101));
  assertEquals(bench.overSession.length, before + 1, "what follows can wait for the next");
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
  bench.sender.start({ to: COORDINATOR, intervalMs: 100, at: 71 });
  await bench.clock.run(1_010);
  assertEquals(bench.datagrams.length, 1 + 1 + 10);
  bench.sender.stop();
});

Deno.test("HeartbeatSender in a secured cluster believes what is sealed for its session, once", async () => {
  const key = new Secret("1".repeat(64));
  const bench = new Bench(key);
  await bench.start();
  assertEquals(bench.acked.length, 1);
  const [heartbeat] = bench.datagrams;
  if (heartbeat === undefined || bench.channel === undefined) throw new Error("no heartbeat");

  // The coordinator acknowledges nothing from here on; somebody else does.
  bench.answer = () => undefined;
  await bench.clock.run(500);
  const newest = bench.datagrams[1] ?? heartbeat;
  const bytes = new TextEncoder().encode(JSON.stringify(ack(newest)));
  const forged = [
    bytes,
    new DatagramChannel(new Secret("2".repeat(64)), "coordinator").seal(bytes),
    // What the node itself has sent, and so everybody has seen.
    new DatagramChannel(key, "node").seal(bytes),
  ];
  for (const datagram of forged) bench.sendBytes(datagram);
  await bench.clock.run(10);
  assertEquals(bench.acked.length, 1);
  assertEquals(bench.sender.refused, forged.length);

  const sealed = bench.channel.seal(bytes);
  for (const datagram of [sealed, sealed]) bench.sendBytes(datagram);
  await bench.clock.run(10);
  assertEquals(bench.acked.length, 2);
  assertEquals(bench.sender.refused, forged.length + 1);
  bench.sender.stop();
});

Deno.test("HeartbeatSender in a secured cluster goes on counting within a session, and anew in the next", async () => {
  const key = new Secret("1".repeat(64));
  const bench = new Bench(key);
  await bench.start();
  const before = bench.channel;
  bench.sender.start({ to: COORDINATOR, intervalMs: 500, at: 71, key });
  await bench.clock.run(10);
  assertEquals(bench.datagrams.length, 2);
  const next = new Secret("2".repeat(64));
  bench.channel = new DatagramChannel(next, "coordinator");
  bench.sender.start({ to: COORDINATOR, intervalMs: 500, at: 72, key: next });
  await bench.clock.run(10);
  assertEquals(bench.datagrams.length, 3);
  assertEquals(bench.acked.length, 3);
  // What the earlier session's coordinator says late counts no more.
  const [, , newest] = bench.datagrams;
  if (before === undefined || newest === undefined) throw new Error("no heartbeat");
  bench.answer = () => undefined;
  bench.sendBytes(before.seal(new TextEncoder().encode(JSON.stringify(ack(newest)))));
  await bench.clock.run(10);
  assertEquals([bench.acked.length, bench.sender.refused], [3, 1]);
  bench.sender.stop();
});

Deno.test("HeartbeatSender in a secured cluster sends no datagram without a key, and goes on over the session", async () => {
  const bench = new Bench(new Secret("1".repeat(64)));
  await bench.start();
  bench.sender.start({ to: COORDINATOR, intervalMs: 500, at: 71 });
  const overSession = bench.overSession.length;
  await bench.clock.run(1_000);
  assertEquals(bench.datagrams.length, 1);
  assertEquals(bench.overSession.length, overSession + 2);
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
