/** Three coordinators on a network in memory: who acts, and what the others answer. */
import { assert, assertEquals, assertExists } from "@std/assert";
import type { CoordinatorsReport } from "../../../coordinator/coordinators_report.ts";
import { Coordinator } from "../../../coordinator/coordinator.ts";
import { setPeriodic, type Timer } from "../../../shared/platform/clock.ts";
import {
  COORDINATOR_DEAF_PAUSE_MS,
  COORDINATOR_JITTER_MS,
  FAILURE_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS,
} from "../../../shared/limits/membership.ts";
import type { Stream } from "../../../shared/platform/transport.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { hello } from "../../../shared/wire/hello.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import { RpcClient } from "../../../shared/wire/rpc_client.ts";
import { ManualClock } from "../../support/doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../../support/doubles/memory_document_store.ts";
import { MemoryNetwork } from "../../support/doubles/memory_transport.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";

const IDS = ["c1", "c2", "c3"] as const;
type Id = (typeof IDS)[number];

class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly stores = new Map<Id, MemoryDocumentStore>();
  readonly coordinators = new Map<Id, Coordinator>();
  readonly #random = new SeededRandom(7);

  static async open(): Promise<Scene> {
    const scene = new Scene();
    for (const id of IDS) await scene.start(id);
    await scene.until(() => scene.report("c1").coordinators.length === 3);
    await scene.ask("c1", { req_type: "coordinators_change", add: [] });
    await scene.until(() =>
      IDS.every((id) => scene.report(id).revision === scene.report("c1").revision)
    );
    return scene;
  }

  async start(id: Id): Promise<void> {
    const store = this.stores.get(id) ?? new MemoryDocumentStore();
    this.stores.set(id, store);
    const starting = Coordinator.start({
      clock: this.clock,
      random: this.#random,
      transport: this.network.transport(id),
      store,
      logger: () => NO_LOG,
    }, {
      id,
      listen: { host: id, port: 8080 },
      heartbeats: { host: id, port: 3769 },
      settings: { partitionCount: 4, replicationFactor: 1 },
      repairDelayMs: 5_000,
      expectNodes: 1,
      cacheEntries: 10,
      clusterId: "k",
      join: id === "c1" ? [] : [{ host: "c1", port: 8080 }],
    });
    await this.clock.run(10);
    this.coordinators.set(id, await starting);
  }

  of(id: Id): Coordinator {
    const coordinator = this.coordinators.get(id);
    assertExists(coordinator);
    return coordinator;
  }

  report(id: Id): CoordinatorsReport {
    return this.of(id).coordinators();
  }

  get active(): Id[] {
    return IDS.filter((id) => this.coordinators.get(id)?.isActive);
  }

  /** @returns how long it took */
  async until(isTrue: () => boolean, withinMs = 20_000): Promise<number> {
    const begin = this.clock.monotonicMs();
    while (!isTrue()) {
      assert(this.clock.monotonicMs() < begin + withinMs, "it did not come true");
      await this.clock.run(10);
    }
    return this.clock.monotonicMs() - begin;
  }

  async ask(id: Id, message: object): Promise<Reply> {
    const client = new RpcClient(
      { clock: this.clock, random: this.#random, transport: this.network.transport("client") },
      { host: id, port: 8080 },
      hello("client"),
    );
    let answer: Reply | undefined;
    client.request(message, 20_000, (reply) => answer = reply);
    await this.until(() => answer !== undefined, 25_000);
    client.close();
    await this.clock.run(5);
    assertExists(answer);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = [...this.coordinators.values()].map((one) => one.close());
    await this.clock.run(20_000);
    await Promise.all(closed);
  }
}

const NODE = "0123456789abcdef";

/** A node's session, as far as a coordinator sees it. */
class FakeNode {
  hasLease = false;
  isSilent = false;
  readonly #connection: Connection;
  readonly #beats: Timer;
  #heard = 0;
  #map = 0;

  static async connect({ clock, network }: Scene, to: Id): Promise<FakeNode> {
    let stream: Stream | undefined;
    network.transport("node").connect(
      { host: to, port: 8080 },
      1_000,
      (opened) => stream = opened,
      (error) => {
        throw error;
      },
    );
    await clock.run(10);
    assertExists(stream);
    return new FakeNode(stream, clock);
  }

  private constructor(stream: Stream, clock: ManualClock) {
    const process = { node: NODE, instance: "i1", incarnation: 1 };
    this.#connection = new Connection(stream, clock, {
      onMessage: (message) => this.#onMessage(message),
      onInvalid: (error) => {
        throw error;
      },
      onClose: () => this.close(),
    });
    const address = { host: "node", port: 8081, http_port: 0, zone: "z", weight: 1 };
    this.#connection.send(hello("member", { node: NODE }));
    this.#connection.send({ req_type: "register", ...process, ...address, held: [], batch: 0 });
    this.#beats = setPeriodic(clock, HEARTBEAT_INTERVAL_MS, () => {
      if (this.#map === 0 || this.isSilent) return;
      this.#connection.send({
        req_type: "heartbeat",
        ...process,
        sent: clock.monotonicMs(),
        epoch: this.#map,
        map: this.#map,
        heard: this.#heard,
        unserved: 0,
      });
    });
  }

  close(): void {
    this.#beats.cancel();
    this.#connection.close();
  }

  #onMessage(message: Message): void {
    if (message.req_type === "registered") {
      this.#heard = message.at;
      this.#map = message.map.epoch;
    } else if (message.req_type === "map_delta") this.#map = message.delta.epoch;
    else if (message.req_type === "heartbeat_ack") {
      this.#heard = message.at;
      this.hasLease = message.lease === true;
    }
  }
}

Deno.test("Coordinator: of three one acts; each answers an order, and says the same of all", async () => {
  await using scene = await Scene.open();
  assertEquals(scene.active, ["c1"]);
  for (const id of IDS) {
    const reply = await scene.ask(id, { req_type: "coordinators" });
    assert(reply.req_type === "result", JSON.stringify(reply));
    const report = reply.result as CoordinatorsReport;
    assertEquals(report.coordinators.map(({ id, role, behind }) => [id, role, behind]), [
      ["c1", "active", 0],
      ["c2", "standby", 0],
      ["c3", "standby", 0],
    ]);
    assertEquals((await scene.ask(id, { req_type: "get_map" })).req_type, "map");
  }
  assertEquals(scene.of("c2").health().status, "ok");
});

Deno.test("Coordinator: one that is cut off from the others has no right, another one acts; then they are one again", async () => {
  await using scene = await Scene.open();
  for (const other of ["c2", "c3"]) scene.network.cut("c1", other);
  const tookMs = await scene.until(() => scene.active.some((id) => id !== "c1"));
  // What the page says of times: the bar, the jitter, and round trips.
  assert(tookMs < 3_000, `${tookMs} ms`);
  assertEquals(scene.report("c1").right, false);
  assert(scene.of("c1").health().reasons.some((one) => one.includes("does not reach a majority")));
  for (const other of ["c2", "c3"]) scene.network.heal("c1", other);
  await scene.until(() => scene.active.length === 1 && scene.report("c1").role === "standby");
  const epochs = () => IDS.map((id) => scene.of(id).map?.epoch);
  await scene.until(() => new Set(epochs()).size === 1);
});

Deno.test("Coordinator: cut off from one of two others, it stays what it is", async () => {
  await using scene = await Scene.open();
  scene.network.cut("c1", "c2");
  await scene.clock.run(30_000);
  assertEquals(scene.active, ["c1"]);
  assert(scene.of("c1").health().reasons.includes("1 of 3 coordinators are away: c2"));
  // Whom it cannot hear, the other one asks for all the same.
  assertEquals(scene.report("c1").activities, 1);
  scene.network.heal("c1", "c2");
  await scene.until(() => scene.of("c1").health().reasons.every((one) => !one.includes("away")));
});

Deno.test("Coordinator: one that hears of no node any more lets another one act, and does not try again soon (rule G15)", async () => {
  await using scene = await Scene.open();
  const node = await FakeNode.connect(scene, "c1");
  await scene.until(() => node.hasLease);
  node.isSilent = true;
  const tookMs = await scene.until(() => scene.active.some((id) => id !== "c1"));
  // Before it has taken the node to be down.
  assert(tookMs < FAILURE_TIMEOUT_MS + COORDINATOR_JITTER_MS, `${tookMs} ms`);
  assertEquals(scene.of("c1").map?.nodes.map(({ state }) => state), ["up"]);
  await scene.clock.run(COORDINATOR_DEAF_PAUSE_MS - 1_000);
  assertEquals([scene.active.length, scene.active.includes("c1")], [1, false]);
  node.close();
});

Deno.test("Coordinator.close: the active one gives its right back, and another one acts at once", async () => {
  await using scene = await Scene.open();
  const closing = scene.of("c1").close();
  const tookMs = await scene.until(() => scene.active.some((id) => id !== "c1"));
  assert(tookMs < 1_200, `${tookMs} ms`);
  await scene.clock.run(20_000);
  await closing;
  scene.coordinators.delete("c1");
});
