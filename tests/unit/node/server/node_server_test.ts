import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NodeServer, type ServerNode } from "../../../../node/server/node_server.ts";
import { standaloneMap } from "../../../../node/membership/standalone_cluster.ts";
import type { ClusterMap, NodeInfo } from "../../../../shared/cluster/cluster_map.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import { REQUEST_TIMEOUT_MS } from "../../../../shared/limits/requests.ts";
import { KEY_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import type { Message, Reply, RoutedRequest } from "../../../../shared/wire/messages.ts";
import { PROTOCOL_VERSION } from "../../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { testAdmission } from "../../../support/doubles/test_admission.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";

const ADDRESS = { host: "node", port: 8081 };
const NODE: NodeInfo = {
  id: "n1",
  host: "node",
  port: 8081,
  httpPort: 0,
  zone: "z",
  weight: 1,
  incarnation: 1,
  state: "up",
};
const MAP = standaloneMap({ clusterId: "c1", partitionCount: 4, node: NODE });

/** A server round a node that answers as the test says. */
class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly executed: RoutedRequest[] = [];
  readonly forwarded: [request: object, timeoutMs: number][] = [];
  readonly peerMessages: [type: string, from: string][] = [];
  peersClosed = 0;
  map: ClusterMap | undefined = MAP;
  clusterId: string | undefined = "c1";
  onExecute: (request: RoutedRequest, reply: (reply: Reply) => void) => void = (_, reply) =>
    reply({ req_type: "ack", message: "local" });
  readonly server: NodeServer;

  constructor(connectionsMax = 100) {
    const node: ServerNode = {
      nodeId: "n1",
      scans: { scan: () => {}, count: () => {} },
      watch: { poll: () => {}, close: () => {} },
      map: () => this.map,
      execute: (request, reply) => {
        this.executed.push(request);
        this.onExecute(request, reply);
      },
      backupPartition: () => {},
      acceptPeer: (from) => ({
        onMessage: (message) => void this.peerMessages.push([message.req_type, from]),
        onClose: () => void this.peersClosed++,
      }),
      databaseUsage: () => ({ known: true, databases: [] }),
      stats: () => ({ node: "n1" }),
      collect: (set) => set.set("kv_node_lease", true),
    };
    this.server = new NodeServer({ clock: this.clock, random: new SeededRandom(1), log: NO_LOG }, {
      node,
      forwarder: {
        execute: (request, timeoutMs, done) => {
          this.forwarded.push([request, timeoutMs]);
          done({ req_type: "ack", message: "forwarded" });
          return () => {};
        },
        request: (to, message, timeoutMs, done) => {
          this.forwarded.push([{ to, ...message }, timeoutMs]);
          done({ req_type: "entries", entries: [] });
        },
        refresh: () => Promise.resolve(MAP),
      },
      clusterId: () => this.clusterId,
      admission: testAdmission({ connectionsMax, peerConnectionsMax: 1 }, this.clock),
    });
  }

  async client(): Promise<Client> {
    await this.network.transport("node").listen(ADDRESS, (stream) => this.server.accept(stream))
      .catch(() => {});
    const client = new Client(this);
    await this.clock.run();
    return client;
  }
}

class Client {
  readonly received: Message[] = [];
  closed = false;
  #connection: Connection | undefined;
  readonly #bench: Bench;

  constructor(bench: Bench) {
    this.#bench = bench;
    const transport = bench.network.transport("client");
    const failed = (reason: Error) => {
      throw reason;
    };
    transport.connect(ADDRESS, 1_000, (stream) => {
      this.#connection = new Connection(stream, bench.clock, {
        onMessage: (message) => void this.received.push(message),
        onInvalid: failed,
        onClose: () => this.closed = true,
      });
    }, failed);
  }

  send(message: object): void {
    assert(this.#connection !== undefined);
    this.#connection.send(message);
  }

  async ask(message: object): Promise<Record<string, unknown>> {
    const before = this.received.length;
    this.send(message);
    await this.#bench.clock.run();
    const reply = this.received[before];
    assert(reply !== undefined, `no reply to ${JSON.stringify(message)}`);
    return { ...reply };
  }

  async close(): Promise<void> {
    this.#connection?.close();
    await this.#bench.clock.run();
  }
}

const notPrimary = (_: RoutedRequest, reply: (reply: Reply) => void) =>
  reply({ req_type: "error", code: "not_primary", message: "elsewhere" });

Deno.test("NodeServer answers from its own replica if that can", async () => {
  const bench = new Bench();
  const client = await bench.client();
  assertEquals(await client.ask({ id: 1, req_type: "get", key: "a" }), {
    id: 1,
    req_type: "ack",
    message: "local",
  });
  assertEquals(bench.forwarded, []);
});

Deno.test("NodeServer passes on what its own replica cannot answer, within the request's time", async () => {
  const bench = new Bench();
  bench.onExecute = notPrimary;
  const client = await bench.client();
  const reply = await client.ask({ id: 1, req_type: "put", key: "a", value: "1" });
  assertEquals(reply.message, "forwarded");
  await client.ask({ id: 2, req_type: "get", key: "a", timeout_ms: 70 });
  assertEquals(bench.forwarded.map(([, timeoutMs]) => timeoutMs), [REQUEST_TIMEOUT_MS, 70]);
});

Deno.test("NodeServer counts the time that its own replica took", async () => {
  const bench = new Bench();
  let answer: (reply: Reply) => void = () => {};
  bench.onExecute = (_, reply) => answer = reply;
  const client = await bench.client();
  client.send({ id: 1, req_type: "get", key: "a", timeout_ms: 500 });
  await bench.clock.run(200);
  assertEquals(bench.server.outstanding, 1);
  answer({ req_type: "error", code: "unavailable", message: "no primary" });
  assertEquals(bench.forwarded.map(([, timeoutMs]) => timeoutMs), [300]);
  assertEquals(bench.server.outstanding, 0);
});

Deno.test("NodeServer never passes a request on twice", async () => {
  const bench = new Bench();
  bench.onExecute = notPrimary;
  const client = await bench.client();
  const reply = await client.ask({ id: 1, req_type: "get", key: "a", forwarded: true });
  assertEquals(reply.code, "not_primary");
  assertEquals(bench.forwarded, []);
});

Deno.test("NodeServer gives an error of its own replica that no other place can mend", async () => {
  for (const code of ["not_found", "outcome_unknown", "overloaded", "corrupt"] as const) {
    const bench = new Bench();
    bench.onExecute = (_, reply) => reply({ req_type: "error", code, message: "" });
    const client = await bench.client();
    assertEquals((await client.ask({ id: 1, req_type: "get", key: "a" })).code, code);
    assertEquals(bench.forwarded, []);
  }
});

Deno.test("NodeServer repeats a write of unknown outcome elsewhere, if its client session makes that harmless", async () => {
  const bench = new Bench();
  bench.onExecute = (_, reply) =>
    reply({ req_type: "error", code: "outcome_unknown", message: "" });
  const client = await bench.client();
  const request = { id: 1, req_type: "increment", key: "a", session: "l", request_number: 1 };
  assertEquals((await client.ask(request)).message, "forwarded");
  const [[forwarded] = []] = bench.forwarded;
  assert(
    forwarded !== undefined && "again" in forwarded,
    "whoever has it must know of this attempt",
  );
});

Deno.test("NodeServer checks requests at the front end", async () => {
  const bench = new Bench();
  const client = await bench.client();
  const long = "k".repeat(KEY_BYTES_MAX + 1);
  const cases: [request: object, code: string][] = [
    [{ req_type: "get", key: "" }, "bad_request"],
    [{ req_type: "get", key: long }, "key_too_large"],
    [{ req_type: "get_nodes_for_key", key: long }, "key_too_large"],
    [{ req_type: "put", key: "a" }, "bad_request"],
    [{ req_type: "put", key: "a", value: "1", value64: "MQ==" }, "bad_request"],
    [{ req_type: "get", key: "a", timeout_ms: 0 }, "bad_request"],
    [{ req_type: "get" }, "bad_request"],
    [{ req_type: "get", key: 7 }, "bad_request"],
    [{ req_type: "frobnicate" }, "bad_request"],
  ];
  for (const [request, code] of cases) {
    const reply = await client.ask({ id: 1, ...request });
    assertEquals([reply.id, reply.req_type, reply.code], [1, "error", code]);
  }
  assertEquals(bench.executed, []);
});

Deno.test("NodeServer answers ping, get_map, list_nodes, get_nodes_for_key and stats by itself", async () => {
  const bench = new Bench();
  const client = await bench.client();
  assertEquals((await client.ask({ req_type: "ping" })).message, "pong");
  assertEquals((await client.ask({ req_type: "get_map" })).map, JSON.parse(JSON.stringify(MAP)));
  const [listing] = (await client.ask({ req_type: "list_nodes" })).result as { own: number[] }[];
  assertEquals(listing?.own, [0, 1, 2, 3]);
  const location = (await client.ask({ req_type: "get_nodes_for_key", key: "a" })).result;
  assertEquals((location as { partition: number }).partition, partitionOf("a", 4));
  const stats = (await client.ask({ req_type: "stats" })).result as Record<string, unknown>;
  assertEquals([stats.node, stats.connections, stats.requests], ["n1", 1, 5]);
});

Deno.test("NodeServer says so if there is no map yet", async () => {
  const bench = new Bench();
  bench.map = undefined;
  const client = await bench.client();
  for (const req_type of ["get_map", "list_nodes"]) {
    const { code, detail } = await client.ask({ id: 1, req_type });
    assertEquals([code, detail], ["unavailable", { joining: true }], "it may be asked again");
  }
});

/** Without what stays in this process: who asks. */
function onTheWire(request: unknown): unknown {
  return JSON.parse(JSON.stringify(request));
}

Deno.test("NodeServer passes on what the sender cannot bring to its node itself", async () => {
  const bench = new Bench();
  bench.onExecute = notPrimary;
  const client = await bench.client();
  await client.ask({ id: 1, req_type: "get", key: "a", relay: true });
  const [first] = bench.forwarded.splice(0);
  assertEquals(onTheWire(first?.[0]), { id: 1, req_type: "get", key: "a", relay: true });
  await client.ask({ id: 2, req_type: "count_node", of: "n9", timeout_ms: 50 });
  assertEquals(bench.forwarded.map(([request]) => onTheWire(request)), [
    { to: "n9", req_type: "count_node", of: "n9", timeout_ms: 50 },
  ]);
});

const HELLO = { id: 1, req_type: "hello", protocol: PROTOCOL_VERSION };

Deno.test("NodeServer takes a hello, and closes a connection that is not meant for it", async () => {
  const bench = new Bench();
  const good = await bench.client();
  assertEquals((await good.ask({ ...HELLO, role: "client", cluster_id: "c1" })).req_type, "ack");
  assertEquals((await good.ask({ req_type: "ping" })).message, "pong");
  const named = await bench.client();
  assertEquals((await named.ask({ ...HELLO, role: "client", to: "n1" })).req_type, "ack");
  const cases: [hello: object, code: string][] = [
    [{ ...HELLO, role: "client", protocol: 99 }, "wrong_version"],
    [{ ...HELLO, role: "node", node: "n2", cluster_id: "c2" }, "wrong_cluster"],
    [{ ...HELLO, role: "client", cluster_id: "c2" }, "wrong_cluster"],
    [{ ...HELLO, role: "node" }, "bad_request"],
    [{ ...HELLO, role: "node", node: "n2" }, "bad_request"],
    [{ ...HELLO, role: "node", node: "n2", cluster_id: "c1", to: "n3" }, "unavailable"],
    [{ ...HELLO, role: "client", cluster_id: "c1", to: "n3" }, "unavailable"],
  ];
  for (const [hello, code] of cases) {
    const client = await bench.client();
    client.send(hello);
    client.send({ id: 2, req_type: "put", key: "a", value: "1" });
    await bench.clock.run(10);
    assertEquals(client.received.map((reply) => "code" in reply && reply.code), [code]);
    assert(client.closed);
  }
  assertEquals(bench.executed, [], "what came behind the hello was not carried out");
  const again = { ...HELLO, role: "node", node: "n2" };
  assertEquals((await good.ask(again)).code, "bad_request", "who is there does not change");
});

Deno.test("NodeServer refuses peers as long as its folder belongs to no cluster", async () => {
  const bench = new Bench();
  bench.clusterId = undefined;
  const client = await bench.client();
  const hello = { ...HELLO, role: "node", node: "n2", cluster_id: "c1" };
  assertEquals((await client.ask(hello)).code, "unavailable");
});

Deno.test("NodeServer tells a node that takes it for its coordinator", async () => {
  const bench = new Bench();
  for (const clusterId of ["c1", undefined]) {
    bench.clusterId = clusterId;
    const client = await bench.client();
    const reply = await client.ask({ ...HELLO, role: "member", node: "n2" });
    assertEquals(reply.code, "bad_request");
    assertStringIncludes(
      String(reply.message),
      "hello: this is a node, not a coordinator; name the coordinator's address",
    );
  }
});

Deno.test("NodeServer gives a peer's messages to the node, and nobody else's", async () => {
  const bench = new Bench();
  const stranger = await bench.client();
  const peer = await bench.client();
  const confirm = { req_type: "confirm", round: 1, parts: [] };
  const refusal = await stranger.ask(confirm);
  assertEquals(refusal.code, "bad_request");
  assertStringIncludes(String(refusal.message), "hello");
  await stranger.ask({ ...HELLO, role: "client" });
  assertEquals((await stranger.ask(confirm)).code, "bad_request");

  const hello = { ...HELLO, node: "n2", cluster_id: "c1", to: "n1" };
  // A node that passes on requests of its clients is no peer on that connection.
  const forwarder = await bench.client();
  assertEquals((await forwarder.ask({ ...hello, role: "node" })).req_type, "ack");
  assertEquals((await forwarder.ask(confirm)).code, "bad_request");
  assertEquals((await stranger.ask({ ...hello, role: "peer" })).code, "bad_request");

  await peer.ask({ ...hello, role: "peer" });
  peer.send(confirm);
  await bench.clock.run();
  assertEquals(bench.peerMessages, [["confirm", "n2"]]);
  assertEquals((await peer.ask({ id: 2, req_type: "ping" })).req_type, "ack");
  for (
    const request of [{ req_type: "get", key: "a" }, {
      req_type: "confirmed",
      round: 1,
      refused: [],
    }]
  ) {
    assertEquals((await peer.ask({ id: 3, ...request })).code, "bad_request", request.req_type);
  }
  assertEquals([bench.executed.length, bench.peerMessages.length], [0, 1]);

  await forwarder.close();
  assertEquals(bench.peersClosed, 0);
  await peer.close();
  assertEquals(bench.peersClosed, 1);
});

Deno.test("NodeServer takes no orders of operators, and no messages of members", async () => {
  const client = await new Bench().client();
  for (const order of [{ req_type: "force" }, { req_type: "forget_node", node: "n1" }]) {
    const reply = await client.ask({ id: 9, ...order });
    assertEquals(reply.code, "bad_request");
    assertStringIncludes(String(reply.message), "this is a node, not a coordinator");
  }
  assertEquals((await client.ask({ id: 9, req_type: "leave" })).code, "bad_request");
});

Deno.test("NodeServer refuses connections beyond its limit, and takes them again later", async () => {
  const bench = new Bench(1);
  const first = await bench.client();
  assertEquals((await first.ask({ req_type: "ping" })).message, "pong");
  const second = await bench.client();
  second.send({ req_type: "ping" });
  await bench.clock.run(10);
  assertEquals(second.received.map((message) => "code" in message && message.code), ["overloaded"]);
  assert(second.closed);
  await first.close();
  const third = await bench.client();
  assertEquals((await third.ask({ req_type: "ping" })).message, "pong");
});

Deno.test("NodeServer.close ends every connection", async () => {
  const bench = new Bench();
  const client = await bench.client();
  await client.ask({ req_type: "ping" });
  bench.server.close();
  await bench.clock.run(10);
  assert(client.closed);
});
