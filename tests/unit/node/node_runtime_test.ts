import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MemoryFolder } from "../../../node/storage/memory/memory_folder.ts";
import { MemoryStorage } from "../../../node/storage/memory/memory_storage.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import type { Random } from "../../../shared/platform/random.ts";
import type { Storage } from "../../../node/storage/storage.ts";
import type { NodeFolder } from "../../../node/node_folder.ts";
import { NodeRuntime } from "../../../node/node_runtime.ts";
import type { NodeRuntimeOptions } from "../../../node/node_runtime_options.ts";
import {
  refuseStandaloneFolder,
  standaloneMap,
} from "../../../node/membership/standalone_cluster.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import type { Message } from "../../../shared/wire/messages.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { RpcClient } from "../../../shared/wire/rpc_client.ts";
import type { DatagramSocket } from "../../../shared/platform/transport.ts";
import { ManualClock } from "../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../support/doubles/memory_transport.ts";

const NODE = { host: "node", port: 8081 };
const COORDINATOR = { host: "coordinator", port: 8080 };
const HEARTBEATS = { host: "coordinator", port: 3769 };

class World {
  readonly clock = new ManualClock();
  readonly random = new SeededRandom(7);
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });

  async start(
    cluster: NodeRuntimeOptions["cluster"],
    folder: NodeFolder = new MemoryFolder(this.clock, this.random),
  ): Promise<NodeRuntime> {
    const { clock, random } = this;
    const starting = NodeRuntime.start(
      { clock, random, transport: this.network.transport("node"), logger: () => NO_LOG },
      {
        listen: [NODE],
        openFolder: () => Promise.resolve(folder),
        memory: true,
        fsync: "always",
        cacheBytes: 1_000_000,
        weight: 1,
        cluster,
      },
    );
    // Whether it fails is for the caller to see, once time has passed.
    starting.catch(() => {});
    await clock.run(20);
    return await starting;
  }

  client(): (message: object) => Promise<Record<string, unknown>> {
    const { clock, random } = this;
    const transport = this.network.transport("client");
    const hello = { req_type: "hello", protocol: 1, role: "client" } as const;
    const client = new RpcClient({ clock, random, transport }, NODE, hello);
    return async (message) => {
      let answer: Record<string, unknown> | undefined;
      client.request(message, 5_000, (reply) => answer = { ...reply });
      for (let i = 0; i < 1_000 && answer === undefined; i++) await clock.run(10);
      assert(answer !== undefined);
      return answer;
    };
  }
}

/** Its storage lives on, as a disk does. */
class DurableFolder extends MemoryFolder {
  override readonly storage: Storage;

  constructor(clock: Clock, random: Random) {
    super(clock, random);
    this.storage = new MemoryStorage(clock, random);
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }
}

const STANDALONE = { standalone: true, partitionCount: 8 } as const;

Deno.test("NodeRuntime standalone serves reads and writes, now and after a restart", async () => {
  const world = new World();
  const folder = new DurableFolder(world.clock, world.random);
  for (const version of [1, 2]) {
    const runtime = await world.start(STANDALONE, folder);
    const ask = world.client();
    const written = await ask({ req_type: "put", key: "a", value: `v${version}` });
    assertEquals([written.message, written.version], ["success", version]);
    assertEquals((await ask({ req_type: "get", key: "a" })).message, `v${version}`);
    const stats = (await ask({ req_type: "stats" })).result as Record<string, unknown>;
    assertEquals([stats.own, stats.entries, stats.lease], [8, 1, true]);
    const closing = runtime.stop(10_000);
    await world.clock.run(100);
    await closing;
  }
});

Deno.test("NodeRuntime.close: lets go of the folder also if its disk takes no writes", async () => {
  const world = new World();
  const folder = new DurableFolder(world.clock, world.random);
  let closed = 0;
  folder.close = () => {
    closed++;
    return Promise.reject(new KvError("storage_failed", "the second error"));
  };
  const runtime = await world.start(STANDALONE, folder);
  folder.storage.write = (_changes, _sync, done) =>
    world.clock.defer(() => done(new KvError("storage_failed", "the first error")));
  const ask = world.client();
  const asked = ask({ req_type: "put", key: "a", value: "v" });
  await world.clock.run(100);
  const closing = assertRejects(() => runtime.close(), KvError);
  await world.clock.run(10_000);
  assertEquals([(await closing).message.includes("the first error"), closed], [true, 1]);
  await asked;
});

Deno.test("NodeRuntime standalone refuses the folder of a cluster, and the other way round", async () => {
  const world = new World();
  const folder = new MemoryFolder(world.clock, world.random);
  await folder.joinCluster("c1", 8);
  const error = await assertRejects(() => world.start(STANDALONE, folder), KvError);
  assertEquals(error.code, "wrong_cluster");
  assertEquals(world.network.openEnds, 0);

  const lone = new MemoryFolder(world.clock, world.random);
  await lone.joinCluster("standalone-1", 8);
  const cluster = { locate: () => {} };
  const other = await assertRejects(() => world.start(cluster, lone), KvError);
  assertEquals(other.code, "wrong_cluster");
  assertStringIncludes(other.message, "--standalone");
  assertEquals(refuseStandaloneFolder(folder), undefined);
});

Deno.test("NodeRuntime standalone refuses another number of partitions than the folder has", async () => {
  const world = new World();
  const folder = new MemoryFolder(world.clock, world.random);
  await folder.joinCluster("standalone-1", 16);
  const error = await assertRejects(() => world.start(STANDALONE, folder), KvError);
  assertEquals(error.code, "bad_config");
});

/** A coordinator that makes the node that registers the primary of everything. */
class ScriptedCoordinator {
  readonly received: Message[] = [];
  answers = true;
  letsGo = true;
  refusal: object | undefined;
  #world: World;
  #connection: Connection | undefined;
  #socket: DatagramSocket | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async start(): Promise<void> {
    const transport = this.#world.network.transport("coordinator");
    await transport.listen(COORDINATOR, (stream) => {
      this.#connection = new Connection(stream, this.#world.clock, {
        onMessage: (message, connection) => this.#onMessage(message, connection),
        onInvalid: (error) => {
          throw error;
        },
        onClose: () => {},
      });
    });
    this.#socket = await transport.bindDatagram(HEARTBEATS, (bytes, from) => {
      const { node, instance, sent } = JSON.parse(new TextDecoder().decode(bytes));
      const said = { epoch: 1, at: this.#world.clock.monotonicMs(), lease: true };
      const ack = { req_type: "heartbeat_ack", node, instance, sent, ...said };
      if (this.answers) this.#socket?.send(new TextEncoder().encode(JSON.stringify(ack)), from);
    });
  }

  sent(type: string): Message[] {
    return this.received.filter((message) => message.req_type === type);
  }

  #onMessage(message: Message, connection: Connection): void {
    this.received.push(message);
    if (message.req_type === "register") {
      const { node: id, host, port, zone, weight, incarnation } = message;
      const node = { id, host, port, httpPort: 0, zone, weight, incarnation, state: "up" } as const;
      const map: ClusterMap = standaloneMap({ clusterId: "c1", partitionCount: 8, node });
      const heartbeat_port = HEARTBEATS.port;
      const answer = this.refusal ?? { req_type: "registered", map, heartbeat_port, at: 1 };
      connection.send({ ...answer, id: message.id });
    }
    if (message.req_type === "leave" && this.letsGo) connection.send({ req_type: "left" });
  }
}

const CLUSTER = {
  locate: (use: (addresses: readonly (typeof COORDINATOR)[]) => void) => use([COORDINATOR]),
};

Deno.test("NodeRuntime in a cluster serves once it is registered, with a lease by its heartbeats", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  await coordinator.start();
  const folder = new MemoryFolder(world.clock, world.random);
  const runtime = await world.start(CLUSTER, folder);
  assert(runtime.up);
  assertEquals([folder.clusterId, folder.partitionCount], ["c1", 8]);
  const ask = world.client();
  assertEquals((await ask({ req_type: "put", key: "a", value: "1" })).message, "success");
  assertEquals((await ask({ req_type: "get", key: "a" })).message, "1");
  assert(runtime.node.hasLease);
  await world.clock.run(10_000);
  assert(runtime.node.hasLease);
  coordinator.answers = false;
  await world.clock.run(2_000);
  assert(!runtime.node.hasLease);
  const closing = runtime.close();
  await world.clock.run(2_000);
  await closing;
});

Deno.test("NodeRuntime.stop hands over, waits to be let go, and ends", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  const startMs = world.clock.monotonicMs();
  let endMs = 0;
  const stopping = runtime.stop(10_000).then(() => endMs = world.clock.monotonicMs());
  await world.clock.run(20_000);
  await stopping;
  assertEquals(coordinator.sent("leave"), [{ req_type: "leave", stopping: true }]);
  assert(endMs - startMs < 100, "it did not wait for longer than it had to");
});

Deno.test("NodeRuntime.stop ends after its time if it is not let go", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  coordinator.letsGo = false;
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  const startMs = world.clock.monotonicMs();
  let endMs = 0;
  const stopping = runtime.stop(3_000).then(() => endMs = world.clock.monotonicMs());
  await world.clock.run(20_000);
  await stopping;
  assert(endMs - startMs >= 3_000 && endMs - startMs < 3_100);
});

Deno.test("NodeRuntime.stop does not wait for a coordinator that is not there", async () => {
  const world = new World();
  const runtime = await world.start(CLUSTER);
  assert(!runtime.up);
  const startMs = world.clock.monotonicMs();
  let endMs = 0;
  const stopping = runtime.stop(10_000).then(() => endMs = world.clock.monotonicMs());
  await world.clock.run(20_000);
  await stopping;
  assert(endMs - startMs < 100);
});

Deno.test("NodeRuntime.stop ends if the coordinator dies meanwhile", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  coordinator.letsGo = false;
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  const startMs = world.clock.monotonicMs();
  let endMs = 0;
  const stopping = runtime.stop(10_000).then(() => endMs = world.clock.monotonicMs());
  await world.clock.run(500);
  world.network.crash("coordinator");
  await world.clock.run(20_000);
  await stopping;
  assert(endMs - startMs < 600);
});

Deno.test("NodeRuntime.leave asks to go for good", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  const leaving = runtime.leave();
  await world.clock.run(1_000);
  assertEquals(await leaving, true);
  assertEquals(coordinator.sent("leave"), [{ req_type: "leave" }]);
});

Deno.test("NodeRuntime.leave that takes too long may be given up for a stop", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  coordinator.letsGo = false;
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  const { promise, resolve } = Promise.withResolvers<void>();
  const leaving = runtime.leave(promise);
  await world.clock.run(1_000);
  resolve();
  assertEquals(await leaving, false);
  const stopping = runtime.stop(500);
  await world.clock.run(2_000);
  await stopping;
  assertEquals(coordinator.sent("leave"), [
    { req_type: "leave" },
    { req_type: "leave", stopping: true },
  ]);
});

Deno.test("NodeRuntime.failed tells why the node cannot go on", async () => {
  const world = new World();
  const coordinator = new ScriptedCoordinator(world);
  coordinator.refusal = { req_type: "error", code: "stale_incarnation", message: "too old" };
  await coordinator.start();
  const runtime = await world.start(CLUSTER);
  assertEquals((await runtime.failed).code, "stale_incarnation");
  const closing = runtime.close();
  await world.clock.run(2_000);
  await closing;
});
