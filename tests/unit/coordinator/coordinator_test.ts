import {
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { Coordinator } from "../../../coordinator/coordinator.ts";
import type { CoordinatorOptions } from "../../../coordinator/coordinator_options.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { FORCE_WAIT_MS } from "../../../shared/limits/membership.ts";
import { GATEWAY_CACHE_AGE_MS_MAX } from "../../../shared/limits/requests.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import {
  type HeldPartition,
  type Message,
  PROTOCOL_VERSION,
  type Reply,
} from "../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { RequestServer } from "../../../shared/server/request_server.ts";
import { RpcClient } from "../../../shared/wire/rpc_client.ts";
import type { DatagramSocket, Stream } from "../../../shared/platform/transport.ts";
import { ManualClock } from "../../support/doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../../support/doubles/memory_document_store.ts";
import { MemoryNetwork } from "../../support/doubles/memory_transport.ts";
import { idOf } from "../../support/worlds/membership_world.ts";

const OPTIONS: CoordinatorOptions = {
  listen: { host: "coord", port: 8080 },
  heartbeats: { host: "coord", port: 3769 },
  settings: { partitionCount: 4, replicationFactor: 1 },
  repairDelayMs: 5_000,
  expectNodes: 1,
  cacheEntries: 10,
};

class Scene {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly store = new MemoryDocumentStore();
  readonly warnings: string[] = [];
  coordinator: Coordinator | undefined;

  async start(options: Partial<CoordinatorOptions> = {}): Promise<Coordinator> {
    this.coordinator = await Coordinator.start({
      clock: this.clock,
      random: new SeededRandom(1),
      transport: this.network.transport("coord"),
      store: this.store,
      logger: () => ({ ...NO_LOG, warn: (event) => void this.warnings.push(event) }),
    }, { ...OPTIONS, ...options });
    await this.clock.run(10);
    return this.coordinator;
  }

  client(says: Partial<Message<"hello">> = {}): RpcClient {
    const deps = {
      clock: this.clock,
      random: new SeededRandom(2),
      transport: this.network.transport("client"),
    };
    const hello: Message<"hello"> = {
      req_type: "hello",
      protocol: PROTOCOL_VERSION,
      role: "client",
      ...says,
    };
    return new RpcClient(deps, { host: "coord", port: 8080 }, hello);
  }

  async ask(client: RpcClient, message: object): Promise<Reply> {
    let answer: Reply | undefined;
    client.request(message, 5_000, (reply) => answer = reply);
    await this.clock.run(100);
    assertExists(answer, `an answer to ${JSON.stringify(message)}`);
    return answer;
  }
}

/** A node that keeps one map of values, and registers by hand. */
class FakeNode {
  readonly id: string;
  readonly values = new Map<string, { value: string; version: number }>();
  readonly inbox: Message[] = [];
  readonly requests: string[] = [];
  readonly #scene: Scene;
  readonly #servers = new Set<RequestServer>();
  session: Connection | undefined;
  socket: DatagramSocket | undefined;
  /** Set: reads are answered when it is called. */
  held: (() => void)[] | undefined;

  constructor(scene: Scene, letter: string) {
    this.#scene = scene;
    this.id = idOf(letter);
  }

  async start(): Promise<void> {
    const transport = this.#scene.network.transport(this.id);
    await transport.listen({ host: this.id, port: 1 }, (stream) => this.#serve(stream));
    this.socket = await transport.bindDatagram(
      { host: this.id, port: 0 },
      (bytes) => this.inbox.push(JSON.parse(new TextDecoder().decode(bytes))),
    );
    await this.connect();
  }

  async connect(): Promise<void> {
    const transport = this.#scene.network.transport(this.id);
    const stream = await new Promise<Stream>((resolve, reject) => {
      transport.connect({ host: "coord", port: 8080 }, 1_000, resolve, reject);
      this.#scene.clock.run(5);
    });
    this.session = new Connection(stream, this.#scene.clock, {
      onMessage: (message) => {
        this.inbox.push(message);
        if (message.req_type === "registered") this.beat("tcp");
      },
      onInvalid: () => {},
      onClose: () => this.session = undefined,
    });
    this.send({ req_type: "hello", id: "h", protocol: 1, role: "member", node: this.id });
    this.register([]);
    await this.#scene.clock.run(10);
  }

  register(held: HeldPartition[]): void {
    this.send({
      req_type: "register",
      id: "r",
      node: this.id,
      instance: "i",
      incarnation: 1,
      host: this.id,
      port: 1,
      http_port: 0,
      zone: this.id,
      weight: 1,
      held,
    });
  }

  send(message: object): void {
    this.session?.send(message);
  }

  beat(over: "udp" | "tcp"): void {
    const message = {
      req_type: "heartbeat",
      node: this.id,
      instance: "i",
      incarnation: 1,
      sent: this.#scene.clock.monotonicMs(),
      epoch: 1,
      map: Math.max(
        ...this.received("registered").map(({ map }) => map.epoch),
        ...this.received("map_delta").map(({ delta }) => delta.epoch),
      ),
      heard: Math.max(
        ...this.received("registered").map(({ at }) => at),
        ...this.received("heartbeat_ack").map(({ at }) => at),
      ),
      unserved: 0,
    };
    if (over === "tcp") this.send(message);
    else {
      const bytes = new TextEncoder().encode(JSON.stringify(message));
      this.socket?.send(bytes, { host: "coord", port: 3769 });
    }
  }

  received<T extends Message["req_type"]>(type: T): Message<T>[] {
    return this.inbox.filter((m): m is Message<T> => m.req_type === type);
  }

  #serve(stream: Stream): void {
    const deps = { clock: this.#scene.clock, log: NO_LOG };
    const server = new RequestServer(stream, deps, {
      onRequest: (request, reply) => {
        this.requests.push(request.req_type);
        const answer = this.#answer(request as Message<"get" | "put">);
        if (this.held !== undefined && request.req_type === "get") {
          this.held.push(() => reply(answer));
        } else reply(answer);
      },
      onClose: () => this.#servers.delete(server),
    });
    this.#servers.add(server);
  }

  #answer(request: Message<"get" | "put">): Reply {
    if (String(request.req_type) === "hello") return { req_type: "ack" };
    if (request.req_type === "put") {
      const version = (this.values.get(request.key)?.version ?? 0) + 1;
      this.values.set(request.key, { value: request.value ?? "", version });
      return { req_type: "ack", message: "success", version };
    }
    const found = this.values.get(request.key);
    return found === undefined
      ? { req_type: "error", code: "not_found", message: "no such key" }
      : { req_type: "data", message: found.value, version: found.version };
  }
}

/** A coordinator, a node that is primary of everything, and a client. */
async function scene(): Promise<{ s: Scene; node: FakeNode; client: RpcClient }> {
  const s = new Scene();
  await s.start();
  const node = new FakeNode(s, "a");
  await node.start();
  return { s, node, client: s.client() };
}

function code(reply: Reply): string {
  return reply.req_type === "error" ? reply.code : reply.req_type;
}

const CACHED = { req_type: "get", key: "k", consistency: "cached" };

Deno.test("Coordinator: registers a node once the map is on disk", async () => {
  const s = new Scene();
  const coordinator = await s.start();
  s.store.hold();
  const node = new FakeNode(s, "a");
  await node.start();
  assertEquals(node.received("registered"), []);
  s.store.release();
  await s.clock.run(50);
  const [registered] = node.received("registered");
  assertEquals(registered?.heartbeat_port, 3769);
  assertEquals(registered?.map.nodes.map(({ id }) => id), [node.id]);
  // It has shown that it hears, and is given replicas.
  assertEquals(coordinator.map?.partitions.every(({ primary }) => primary === node.id), true);
  const last = node.received("map_delta").at(-1);
  assertEquals(last?.delta.epoch, coordinator.map?.epoch);
});

Deno.test("Coordinator: acknowledges heartbeats by datagram and over the session", async () => {
  const { s, node } = await scene();
  assertEquals(node.received("heartbeat_ack").length, 1, "the first, that shows that it hears");
  node.beat("udp");
  node.beat("tcp");
  await s.clock.run(10);
  assertEquals(node.received("heartbeat_ack").length, 3);
  node.socket?.send(new TextEncoder().encode("{nonsense"), { host: "coord", port: 3769 });
  await s.clock.run(10);
  assertEquals(node.received("heartbeat_ack").length, 3);
});

Deno.test("Coordinator: sends changes as deltas, and refuses with the register's id", async () => {
  const { s, node } = await scene();
  const other = new FakeNode(s, "b");
  await other.start();
  assertGreater(node.received("map_delta").length, 0);
  node.send({
    req_type: "register",
    id: "again",
    node: node.id,
    instance: "other",
    incarnation: 1,
    host: "h",
    port: 1,
    http_port: 0,
    zone: "z",
    weight: 1,
    held: [],
  });
  await s.clock.run(10);
  const [error] = node.received("error");
  assertEquals([error?.id, error?.code], ["again", "stale_incarnation"]);
});

Deno.test("Coordinator: messages of nodes are taken from nodes alone", async () => {
  const { s, client } = await scene();
  for (const message of [{ req_type: "leave" }, { req_type: "drained", p: 0, term: 1 }]) {
    assertEquals(code(await s.ask(client, message)), "bad_request");
  }
  client.close();
});

Deno.test("Coordinator: refuses other protocols and clusters at hello", async () => {
  const { s } = await scene();
  const greet = async (hello: Partial<Message<"hello">>) => {
    const client = s.client(hello);
    const answer = await s.ask(client, { req_type: "ping" });
    client.close();
    return code(answer);
  };
  assertEquals(await greet({ protocol: 99 }), "wrong_version");
  const foreign = { cluster_id: "other" };
  assertEquals(await greet(foreign), "wrong_cluster");
  assertEquals(await greet({ role: "peer", node: "n" }), "bad_request");
  // A node comes again and again, and its operator may look here.
  const refused = () =>
    s.warnings.filter((line) => line === "a node of another cluster was refused");
  assertEquals(refused().length, 0);
  for (let i = 0; i < 5; i++) {
    assertEquals(await greet({ ...foreign, role: "member", node: "n" }), "wrong_cluster");
  }
  assertEquals(refused().length, 1);
});

Deno.test("Coordinator: comes back with its map after a restart", async () => {
  const { s, node, client } = await scene();
  const closing = s.coordinator?.close();
  client.close();
  await s.clock.run(30_000);
  await closing;
  const { epoch, settings } = s.coordinator?.map ?? {};
  const again = await s.start({ settings: {} });
  assertEquals([again.map?.epoch, again.map?.settings], [epoch, settings]);
  await node.connect();
  await s.clock.run(3_000);
  const own = again.map?.partitions.filter(({ primary }) => primary === node.id).length;
  assertEquals(own, 0, "nothing was heard of it since");
  await assertRejects(() => s.start({ settings: { partitionCount: 8 } }), KvError, "fixed");
});

Deno.test("Coordinator: a port that is taken is an error, and nothing is left open", async () => {
  const s = new Scene();
  await s.network.transport("coord").bindDatagram({ host: "coord", port: 3769 }, () => {});
  const error = await assertRejects(() => s.start(), KvError);
  assertEquals(error.code, "address_in_use");
  assertEquals(s.store.writes, 0);
  await s.network.transport("coord").listen({ host: "coord", port: 8080 }, () => {});
});

Deno.test("Coordinator: answers the directory's questions", async () => {
  const { s, node, client } = await scene();
  assertEquals(code(await s.ask(client, { req_type: "ping" })), "ack");
  const nodes = await s.ask(client, { req_type: "list_nodes" });
  assert(nodes.req_type === "result" && Array.isArray(nodes.result));
  assertEquals(nodes.result[0].own, [0, 1, 2, 3]);
  const where = await s.ask(client, { req_type: "get_nodes_for_key", key: "k" });
  assert(where.req_type === "result");
  assertEquals((where.result as { nodes: { id: string }[] }).nodes[0]?.id, node.id);
  const map = await s.ask(client, { req_type: "get_map" });
  assert(map.req_type === "map");
  const stats = await s.ask(client, { req_type: "stats" });
  assert(stats.req_type === "result");
  assertEquals((stats.result as { unavailable_partitions: number }).unavailable_partitions, 0);
  assertEquals(
    code(await s.ask(client, { req_type: "get_nodes_for_key", key: "" })),
    "bad_request",
  );
  client.close();
});

Deno.test("Coordinator: before it forces, nodes tell what they hold", async () => {
  const { s, node, client } = await scene();
  const other = new FakeNode(s, "b");
  await other.start();
  for (let i = 0; i < 20; i++) {
    other.beat("tcp");
    await s.clock.run(500);
  }
  const order: object = { req_type: "force", partition: 2 };
  let answer: Reply | undefined;
  client.request(order, 5_000, (reply) => answer = reply);
  await s.clock.run(100);
  assertEquals([answer, other.received("register_again").length], [undefined, 1]);
  other.register([[2, 1, 99, 0]]);
  await s.clock.run(FORCE_WAIT_MS);
  assert(answer?.req_type === "result");
  assertEquals(answer.result, [{ partition: 2, node: other.id, term: 1, last_seq: 99 }]);
  // An error comes after the time to tell, too.
  client.request(order, 5_000, (reply) => answer = reply);
  await s.clock.run(FORCE_WAIT_MS + 100);
  assertEquals(answer && code(answer), "bad_request");
  assertEquals(node.received("register_again"), []);
  client.close();
});

Deno.test("Coordinator: force by an operator is answered", async () => {
  const { s, client } = await scene();
  const reply = await s.ask(client, { req_type: "force" });
  assertEquals(reply.req_type === "result" && reply.result, []);
  assertEquals(code(await s.ask(client, { req_type: "force", partition: 1 })), "bad_request");
  client.close();
});

Deno.test("Coordinator: has no users, and says so to whoever gives orders about them", async () => {
  const { s, client } = await scene();
  const reply = await s.ask(client, { req_type: "user_list" });
  assertEquals(code(reply), "bad_request");
  assert(reply.req_type === "error" && reply.message.includes("not secured"));
  client.close();
});

Deno.test("Coordinator: forget_node by an operator is answered, also after nodes have told what they hold", async () => {
  const { s, node, client } = await scene();
  const order = { req_type: "forget_node", node: node.id };
  assertEquals(code(await s.ask(client, order)), "bad_request");
  const other = new FakeNode(s, "b");
  await other.start();
  // Only the first one holds anything, and it ends.
  for (let i = 0; i < 20; i++) {
    other.beat("tcp");
    await s.clock.run(500);
  }
  const refused = await s.ask(client, order);
  assertEquals(code(refused), "bad_request");
  assertStringIncludes(refused.req_type === "error" ? refused.message : "", "--force");
  let answer: Reply | undefined;
  const forcing: object = { ...order, force: true };
  client.request(forcing, 5_000, (reply) => answer = reply);
  await s.clock.run(100);
  assertEquals([answer, other.received("register_again").length], [undefined, 1]);
  other.register([[2, 1, 99, 0]]);
  await s.clock.run(FORCE_WAIT_MS);
  assert(answer?.req_type === "result");
  const { node: forgotten, forced } = answer.result as { node: string; forced: unknown[] };
  assertEquals(forgotten, node.id);
  assertEquals(forced[2], { partition: 2, node: other.id, term: 1, last_seq: 99 });
  client.close();
});

Deno.test("Gateway: passes requests on and repeats the answer", async () => {
  const { s, client } = await scene();
  assertEquals(code(await s.ask(client, { req_type: "get", key: "k" })), "not_found");
  assertEquals(code(await s.ask(client, { req_type: "put", key: "k", value: "1" })), "ack");
  const reply = await s.ask(client, { req_type: "get", key: "k" });
  assertEquals(reply.req_type === "data" && reply.message, "1");
  for (const bad of [{ key: "" }, { key: "k", timeout_ms: 0 }]) {
    assertEquals(code(await s.ask(client, { req_type: "get", ...bad })), "bad_request");
  }
  client.close();
});

Deno.test("Gateway: serves cached reads from the cache, and no others", async () => {
  const { s, node, client } = await scene();
  node.values.set("k", { value: "1", version: 1 });
  const reads = () => node.requests.filter((type) => type.endsWith("get")).length;
  await s.ask(client, CACHED);
  const second = await s.ask(client, CACHED);
  assertEquals([second.req_type === "data" && second.message, reads()], ["1", 1]);
  await s.ask(client, { req_type: "get", key: "k" });
  await s.ask(client, { ...CACHED, consistency: "strong" });
  assertEquals(reads(), 3);
  client.close();
});

Deno.test("Gateway: a cached read sees a write through the gateway at once, another after a while", async () => {
  const { s, node, client } = await scene();
  const version = async () => {
    const reply = await s.ask(client, CACHED);
    return reply.req_type === "data" ? reply.version : undefined;
  };
  node.values.set("k", { value: "1", version: 1 });
  assertEquals(await version(), 1);
  await s.ask(client, { req_type: "put", key: "k", value: "2" });
  assertEquals(await version(), 2);
  node.values.set("k", { value: "3", version: 3 });
  assertEquals(await version(), 2);
  for (let ms = 0; ms < GATEWAY_CACHE_AGE_MS_MAX; ms += 500) {
    node.beat("tcp");
    await s.clock.run(500);
  }
  assertEquals(await version(), 3);
  client.close();
});

Deno.test("Gateway: a value that was written through it while it was read is not cached", async () => {
  const { s, node, client } = await scene();
  node.values.set("k", { value: "1", version: 1 });
  node.held = [];
  let first: Reply | undefined;
  client.request(CACHED, 5_000, (reply) => first = reply);
  await s.clock.run(20);
  assertEquals(node.held.length, 1);
  // The old value is read already; its answer comes behind that of the write.
  await s.ask(client, { req_type: "put", key: "k", value: "2" });
  node.held.forEach((answer) => answer());
  node.held = undefined;
  await s.clock.run(20);
  assertEquals(first?.req_type === "data" && first.version, 1);
  const later = await s.ask(client, CACHED);
  assertEquals(later.req_type === "data" && later.version, 2);
  client.close();
});
