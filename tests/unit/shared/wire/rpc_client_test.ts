import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  CONNECTING_REQUESTS_MAX,
  DEADLINE_SCAN_MS,
  HELLO_TIMEOUT_MS,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
  RPC_PING_MS,
  RPC_SILENCE_MS_MAX,
} from "../../../../shared/limits/connections.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { CALLER } from "../../../../shared/wire/caller.ts";
import { RpcClient, type RpcClientOptions } from "../../../../shared/wire/rpc_client.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { type Script, ScriptedNode } from "../../../support/doubles/scripted_node.ts";

const OK: Reply = { req_type: "ack", message: "success", version: 1 };
const PUT = { req_type: "put", key: "k", value: "v" };

class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly node: ScriptedNode;
  readonly client: RpcClient;
  readonly replies: Reply[] = [];
  readonly events: string[] = [];

  constructor(script: Script, options: RpcClientOptions = {}) {
    this.node = new ScriptedNode(this.network, "node", script);
    const deps = {
      clock: this.clock,
      random: new SeededRandom(1),
      transport: this.network.transport("client"),
    };
    const hello: Message<"hello"> = { req_type: "hello", protocol: 1, role: "client" };
    this.client = new RpcClient(deps, this.node.address, hello, {
      onUp: () => this.events.push("up"),
      onDown: () => this.events.push("down"),
      onSilence: (silentMs) => this.events.push(`silent ${Math.round(silentMs)}`),
    }, options);
  }

  static async start(script: Script, options?: RpcClientOptions): Promise<Bench> {
    const bench = new Bench(script, options);
    await bench.node.start();
    return bench;
  }

  ask(message: object = PUT, timeoutMs = 10_000): void {
    let inside = true;
    this.client.request(message, timeoutMs, (reply) => {
      assertEquals(inside, false, "done is never called from inside request");
      this.replies.push(reply);
    });
    inside = false;
  }

  /** Codes or types of the replies so far. */
  get codes(): string[] {
    return this.replies.map((reply) => reply.req_type === "error" ? reply.code : reply.req_type);
  }
}

Deno.test("RpcClient connects at the first request, says hello first, and matches replies", async () => {
  const bench = await Bench.start(() => "hold");
  assertEquals(bench.network.openEnds, 0);
  bench.ask({ req_type: "get", key: "a" });
  bench.ask({ id: "mine", req_type: "get", key: "b" });
  bench.clock.advance(20);
  assertEquals(bench.node.hellos.length, 1);
  assertEquals(bench.events, ["up"]);
  const [a, b] = bench.node.held;
  b?.reply({ req_type: "data", message: "b" });
  bench.clock.advance(2);
  a?.reply({ req_type: "data", message: "a" });
  bench.clock.advance(2);
  assertEquals(bench.replies, [
    { req_type: "data", message: "b", id: undefined },
    { req_type: "data", message: "a", id: undefined },
  ]);
  assertEquals(bench.client.inFlight, 0);
  bench.client.close();
});

Deno.test("RpcClient: unavailable, at once, when nobody listens", () => {
  const bench = new Bench(() => OK);
  bench.ask();
  bench.clock.advance(5);
  assertEquals(bench.codes, ["unavailable"]);
  // The next attempt is not due: no waiting for it.
  bench.ask();
  bench.clock.advance();
  assertEquals(bench.codes, ["unavailable", "unavailable"]);
  const [, reply] = bench.replies;
  assertStringIncludes(reply?.req_type === "error" ? reply.message : "", "refused");
  bench.client.close();
});

Deno.test("RpcClient connects again by itself, with growing pauses", async () => {
  const bench = new Bench(() => OK);
  let attempts = 0;
  const transport = bench.network.transport("client");
  const counting = {
    ...transport,
    connect: (...args: Parameters<typeof transport.connect>) => {
      attempts++;
      return transport.connect(...args);
    },
  };
  const client = new RpcClient(
    { clock: bench.clock, random: new SeededRandom(1), transport: counting },
    bench.node.address,
    { req_type: "hello", protocol: 1, role: "client" },
  );
  client.connect();
  bench.clock.advance(RECONNECT_MS_MIN * 4);
  assertEquals(attempts >= 2 && attempts <= 5, true, `${attempts} attempts`);
  bench.clock.advance(60_000);
  const upTo = 60_000 / (RECONNECT_MS_MAX / 2) + 10;
  assertEquals(attempts > 55 && attempts <= upTo, true, `${attempts} attempts`);
  await bench.node.start();
  bench.clock.advance(RECONNECT_MS_MAX + 10);
  assertEquals(client.up, true);
  client.close();
});

Deno.test("RpcClient: outcome_unknown if the connection breaks after sending", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask();
  bench.clock.advance(20);
  bench.ask();
  bench.clock.advance(20);
  bench.node.kill();
  bench.clock.advance(5);
  assertEquals(bench.codes, ["outcome_unknown", "outcome_unknown"]);
  assertEquals(bench.events, ["up", "down"]);
  bench.client.close();
});

Deno.test("RpcClient: outcome_unknown at the deadline of what was sent; a late reply is dropped", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask(PUT, 500);
  bench.ask(PUT, 5_000);
  bench.clock.advance(499);
  assertEquals(bench.codes, []);
  bench.clock.advance(1 + DEADLINE_SCAN_MS);
  assertEquals(bench.codes, ["outcome_unknown"]);
  for (const { reply } of bench.node.held) reply(OK);
  bench.clock.advance(5);
  assertEquals(bench.codes, ["outcome_unknown", "ack"]);
  bench.client.close();
});

Deno.test("RpcClient: timeout at the deadline of what was never sent", async () => {
  const bench = await Bench.start(() => OK);
  bench.network.cut("client", "node");
  bench.ask(PUT, 200);
  bench.clock.advance(200 + DEADLINE_SCAN_MS);
  assertEquals(bench.codes, ["timeout"]);
  bench.network.heal("client", "node");
  bench.clock.advance(5_000);
  assertEquals(bench.codes, ["timeout"]);
  assertEquals(bench.node.seen, []);
  bench.client.close();
});

Deno.test("RpcClient: what waits gets the error that hello got, and is not sent", async () => {
  const bench = await Bench.start(() => OK);
  bench.node.welcome = { req_type: "error", code: "unauthorized", message: "who are you" };
  bench.ask();
  bench.clock.advance(20);
  assertEquals(bench.codes, ["unauthorized"]);
  assertEquals(bench.node.seen, []);
  assertEquals(bench.events, []);
  bench.client.close();
});

Deno.test("RpcClient: unavailable if a server takes the connection and says nothing", async () => {
  const bench = await Bench.start(() => OK);
  bench.node.welcome = "hold";
  bench.ask();
  bench.clock.advance(HELLO_TIMEOUT_MS + 10);
  assertEquals(bench.codes, ["unavailable"]);
  assertEquals(bench.node.seen, []);
  bench.client.close();
});

Deno.test("RpcClient: a server that ends the connection unasked is perhaps none of ours", async () => {
  const bench = await Bench.start(() => OK);
  bench.node.welcome = "hold";
  bench.ask();
  bench.clock.advance(20);
  for (const { connection } of bench.node.servers) connection.close();
  bench.clock.advance(20);
  assertEquals(bench.codes, ["unavailable"]);
  const [reply] = bench.replies;
  const message = reply?.req_type === "error" ? reply.message : "";
  assertStringIncludes(message, "is that the TCP port of a coordinator or node?");
  bench.client.close();
});

Deno.test("RpcClient refuses more waiting requests than its limit as overloaded", async () => {
  const bench = await Bench.start(() => OK);
  for (let i = 0; i <= CONNECTING_REQUESTS_MAX; i++) bench.ask();
  bench.clock.advance();
  assertEquals(bench.codes, ["overloaded"]);
  bench.clock.advance(100);
  assertEquals(bench.replies.length, CONNECTING_REQUESTS_MAX + 1);
  bench.client.close();
});

Deno.test("RpcClient with inFlightMax: sends the next when one is answered, in their order", async () => {
  const bench = await Bench.start(() => "hold", { inFlightMax: 2 });
  const keys = () =>
    bench.node.seen.map((request) => "key" in request ? request.key : request.req_type)
      .filter((key) => key !== "ping");
  for (const key of "ab") bench.ask({ req_type: "get", key }, 1_000);
  bench.clock.advance(100);
  for (const key of "cde") bench.ask({ req_type: "get", key }, key === "c" ? 500 : 1_000);
  bench.clock.advance(10);
  assertEquals(keys(), ["a", "b"]);
  bench.node.held[1]?.reply(OK);
  bench.clock.advance(10);
  assertEquals([keys(), bench.codes], [["a", "b", "c"], ["ack"]]);
  // What was sent may have happened, and is still the other side's to answer; what waited has not.
  bench.clock.advance(2_000);
  assertEquals(keys(), ["a", "b", "c"]);
  const unknown = "outcome_unknown";
  assertEquals(bench.codes, ["ack", unknown, unknown, "timeout", "timeout"]);

  bench.replies.length = 0;
  for (const key of "fgh") bench.ask({ req_type: "get", key });
  bench.clock.advance(10);
  assertEquals(keys(), ["a", "b", "c"]);
  bench.node.held[0]?.reply(OK);
  bench.node.held[2]?.reply(OK);
  bench.clock.advance(10);
  assertEquals([keys(), bench.codes], [["a", "b", "c", "f", "g"], []], "late answers make room");
  bench.node.push({ req_type: "closing" });
  bench.clock.advance(10);
  assertEquals(bench.codes, ["unavailable"], "a server that stops is sent nothing more");
  for (const { reply } of bench.node.held.splice(3)) reply(OK);
  bench.clock.advance(10);
  assertEquals([bench.codes, keys().length], [["unavailable", "ack", "ack"], 5]);
  bench.client.close();
});

Deno.test("RpcClient with inFlightMax: what is due first has the first turn", async () => {
  const bench = await Bench.start(() => OK, { inFlightMax: 1 });
  for (const [i, key] of [..."abc"].entries()) {
    bench.ask({ req_type: "get", key }, i === 2 ? 9_000 : 10_000);
  }
  bench.clock.advance(100);
  const keys = bench.node.seen.map((request) => "key" in request ? request.key : "");
  assertEquals([keys, bench.codes], [["c", "a", "b"], ["ack", "ack", "ack"]]);
  bench.client.close();
});

Deno.test("RpcClient: what nobody waits for any more ends soon, sent or not", async () => {
  const bench = await Bench.start(() => "hold", { inFlightMax: 1 });
  const caller = { closed: false, heavy: true };
  for (let i = 0; i < 3; i++) {
    bench.ask({ req_type: "get", key: `k${i}`, [CALLER]: caller }, 60_000);
  }
  bench.clock.advance(100);
  assertEquals([bench.node.seen.length, bench.codes], [1, []]);
  caller.closed = true;
  bench.clock.advance(2 * DEADLINE_SCAN_MS);
  assertEquals([bench.node.seen.length, bench.codes], [1, [
    "outcome_unknown",
    "timeout",
    "timeout",
  ]]);
  bench.client.close();
});

Deno.test("RpcClient passes over what is no reply", async () => {
  const bench = await Bench.start(() => OK);
  bench.client.connect();
  bench.clock.advance(20);
  bench.node.push({ req_type: "register_again" });
  bench.ask();
  bench.clock.advance(20);
  assertEquals([bench.events, bench.codes], [["up"], ["ack"]]);
  bench.client.close();
});

Deno.test("RpcClient.send sends while up and drops while down", async () => {
  const bench = await Bench.start(() => OK);
  bench.client.send({ req_type: "stats" });
  bench.clock.advance(20);
  assertEquals(bench.node.seen, []);
  bench.client.send({ req_type: "stats" });
  bench.clock.advance(20);
  assertEquals(bench.node.seen.map(({ req_type }) => req_type), ["stats"]);
  bench.client.close();
});

Deno.test("RpcClient.close ends what is under way, sent or not, once", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask();
  bench.clock.advance(20);
  bench.ask();
  bench.client.close();
  assertEquals(bench.codes, []);
  bench.ask();
  bench.clock.advance(20);
  assertEquals(bench.codes, ["outcome_unknown", "outcome_unknown", "unavailable"]);
  for (const { reply } of bench.node.held) reply(OK);
  bench.clock.advance(60_000);
  assertEquals(bench.replies.length, 3);
  assertEquals([bench.network.openEnds, bench.clock.timers], [0, 0]);

  const other = new Bench(() => OK);
  other.ask();
  other.client.close();
  other.clock.advance(10_000);
  assertEquals(other.codes, ["unavailable"]);
  assertEquals([other.network.openEnds, other.clock.timers], [0, 0]);
});

Deno.test("RpcClient pings a server that owes replies and says nothing, and leaves it when dead", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask(PUT, 60_000);
  // Answered pings keep the connection.
  bench.clock.advance(20_000);
  assertEquals(bench.codes, []);
  const silences = bench.events.filter((event) => event.startsWith("silent"));
  assertEquals(silences.length > 5, true);
  bench.network.cut("client", "node");
  bench.clock.advance(RPC_SILENCE_MS_MAX + 2 * RPC_PING_MS);
  assertEquals(bench.codes, ["outcome_unknown"]);
  bench.client.close();
});

Deno.test("RpcClient sets no timer while nothing is under way", async () => {
  const bench = await Bench.start(() => OK);
  bench.ask();
  bench.clock.advance(60_000);
  assertEquals(bench.codes, ["ack"]);
  assertEquals(bench.clock.timers, 0);
  bench.client.close();
});

Deno.test("RpcClient: a reply that is no valid message leaves the outcome unknown", async () => {
  const bench = await Bench.start(() => ({ req_type: "ack", version: -1 }));
  bench.ask();
  bench.clock.advance(20);
  assertEquals(bench.codes, ["outcome_unknown"]);
  bench.client.close();
});

Deno.test("RpcClient: a server that is closing gets nothing more, and the connection ends with its last answer", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask();
  bench.clock.advance(20);
  bench.node.push({ req_type: "closing" });
  bench.clock.advance(2);
  bench.ask();
  bench.clock.advance(2);
  // Known not to have happened: it is for another node.
  assertEquals([bench.codes, bench.events], [["unavailable"], ["up"]]);
  assertEquals(bench.node.held.length, 1);
  bench.node.held[0]?.reply(OK);
  bench.clock.advance(5);
  assertEquals([bench.codes, bench.events], [["unavailable", "ack"], ["up", "down"]]);
});

Deno.test("RpcClient goes over to a new connection before the certificates end, and loses nothing", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask();
  bench.clock.advance(20);
  bench.network.expire("client", "node");
  // What comes from here on goes over the new one, and has its answer first.
  bench.ask({ req_type: "get", key: "k" });
  bench.clock.advance(20);
  assertEquals([bench.node.hellos.length, bench.node.seen.length], [2, 2]);
  assertEquals([bench.client.inFlight, bench.network.openEnds], [2, 4]);
  const [put, get] = bench.node.held;
  get?.reply({ req_type: "data", message: "v" });
  bench.clock.advance(5);
  assertEquals([bench.codes, bench.events], [["data"], ["up", "down", "up"]]);
  put?.reply(OK);
  bench.clock.advance(5);
  assertEquals([bench.codes, bench.network.openEnds], [["data", "ack"], 2]);
  // One over which nothing is under way ends at once.
  bench.network.expire("client", "node");
  bench.clock.advance(20);
  assertEquals([bench.node.hellos.length, bench.network.openEnds], [3, 2]);
  bench.client.close();
  bench.clock.advance(5);
  assertEquals(bench.network.openEnds, 0);
});

Deno.test("RpcClient: what was sent over a connection that was left has an end, whatever becomes of that", async () => {
  const bench = await Bench.start(() => "hold");
  const leave = (timeoutMs?: number) => {
    bench.ask(PUT, timeoutMs);
    bench.clock.advance(20);
    bench.network.expire("client", "node");
    bench.clock.advance(20);
  };
  // Its deadline passes.
  leave(100);
  bench.clock.advance(100 + 2 * DEADLINE_SCAN_MS);
  // Three ends: the server still works on it.
  assertEquals([bench.codes, bench.network.openEnds], [["outcome_unknown"], 3]);
  // It breaks.
  leave();
  bench.network.reset("client", "node");
  bench.clock.advance(RECONNECT_MS_MAX);
  assertEquals(bench.codes, ["outcome_unknown", "outcome_unknown"]);
  // The client is closed.
  leave();
  bench.client.close();
  bench.clock.advance(5);
  assertEquals(bench.codes, ["outcome_unknown", "outcome_unknown", "outcome_unknown"]);
  assertEquals(bench.client.inFlight, 0);
});

Deno.test("RpcClient: a server that stops while a connection to it is left is heard", async () => {
  const bench = await Bench.start(() => "hold");
  bench.ask();
  bench.clock.advance(20);
  bench.network.expire("client", "node");
  bench.clock.advance(20);
  bench.node.push({ req_type: "closing" });
  bench.clock.advance(5);
  bench.ask();
  bench.clock.advance(5);
  assertEquals(bench.codes, ["unavailable"]);
  bench.node.held[0]?.reply(OK);
  bench.clock.advance(5);
  assertEquals(bench.codes, ["unavailable", "ack"]);
  bench.client.close();
});
