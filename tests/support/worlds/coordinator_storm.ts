/**
 * Many nodes and clients that turn to another coordinator at once: three coordinators, the sessions of nodes and the
 * routers of clients are the production code's, on a network in memory and a clock that a test moves. It tells how long
 * that takes apart from the processor's own work, and how much is asked.
 *
 * @module
 */
import { Coordinator } from "../../../coordinator/coordinator.ts";
import { CoordinatorSession } from "../../../node/membership/coordinator_session.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { HEARTBEAT_INTERVAL_MS } from "../../../shared/limits/membership.ts";
import { setPeriodic } from "../../../shared/platform/clock.ts";
import { randomId, SeededRandom } from "../../../shared/platform/random.ts";
import { Router } from "../../../shared/routing/router.ts";
import { hello } from "../../../shared/wire/hello.ts";
import { RpcClient } from "../../../shared/wire/rpc_client.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { MemoryDocumentStore } from "../doubles/memory_document_store.ts";
import { MemoryNetwork } from "../doubles/memory_transport.ts";
import { NO_LOG } from "../doubles/no_log.ts";

const IDS = ["c1", "c2", "c3"] as const;
const ADDRESSES = IDS.map((host) => ({ host, port: 8080 }));
/** A write of the document with its sync takes this long. */
const SYNC_MS = 10;
const STEP_MS = 10;
const WAIT_MS_MAX = 120_000;

/** How many there are. */
export interface StormSize {
  readonly nodes: number;
  readonly partitions: number;
  readonly clients: number;
}

/** From the death of the active coordinator on. */
export interface StormFigures {
  /** Until another one is active, ... */
  readonly activeMs: number;
  /** ... until all nodes are registered with it, ... */
  readonly nodesMs: number;
  /**
   * ... and until all clients that asked for the map at that moment have it. They have no map yet, and know only
   * coordinators: who has one asks the nodes first.
   */
  readonly clientsMs: number;
  /** Characters of the map as JSON. */
  readonly mapCharacters: number;
  /** Maps that nodes were given. */
  readonly maps: number;
  /** Nodes that were taken to be down, and changes of primaries. */
  readonly down: number;
  readonly failovers: number;
}

class SlowStore extends MemoryDocumentStore {
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  override write(document: unknown): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#clock.setTimer(SYNC_MS, () => super.write(document).then(resolve, reject))
    );
  }
}

interface StormNode {
  readonly session: CoordinatorSession;
  maps: number;
}

/** Kills the active coordinator of such a cluster. */
export async function runCoordinatorStorm(size: StormSize): Promise<StormFigures> {
  const storm = new CoordinatorStorm(size);
  try {
    return await storm.run();
  } finally {
    await storm.close();
  }
}

class CoordinatorStorm {
  readonly #size: StormSize;
  readonly #clock = new ManualClock();
  readonly #network = new MemoryNetwork(this.#clock, { delayMs: 1 });
  readonly #random = new SeededRandom(7);
  readonly #coordinators = new Map<string, Coordinator>();
  readonly #nodes: StormNode[] = [];
  readonly #routers = new Set<Router>();
  readonly #beats: { cancel(): void }[] = [];

  constructor(size: StormSize) {
    this.#size = size;
  }

  async run(): Promise<StormFigures> {
    await this.#startCoordinators();
    for (let i = 0; i < this.#size.nodes; i++) this.#nodes.push(this.#node(i));
    for (const { session } of this.#nodes) session.start();
    await this.#until(() => this.#nodes.every(({ session }) => session.up));
    // Until all are live, and all partitions have their replicas.
    await this.#clock.run(5_000);
    const map = this.#of("c1").map;
    if (map === undefined) throw new KvError("internal", "there is no map");
    for (let i = 0; i < this.#size.clients; i++) this.#routers.add(this.#client(i));

    const maps = this.#maps;
    this.#network.crash("c1");
    let answered = 0;
    for (const router of this.#routers) {
      router.refresh().then(() => {
        answered++;
        // It would go on to look after connections to nodes, which nobody answers here. Its map takes much memory.
        router.close();
        this.#routers.delete(router);
      });
    }
    const beginMs = this.#clock.monotonicMs();
    const figures = { activeMs: 0, nodesMs: 0, clientsMs: 0 };
    const note = (what: keyof typeof figures, isTrue: boolean) => {
      if (isTrue && figures[what] === 0) figures[what] = this.#clock.monotonicMs() - beginMs;
    };
    await this.#until(() => {
      note("activeMs", this.#next !== undefined);
      note("nodesMs", this.#nodes.every(({ session }) => session.up));
      note("clientsMs", answered === this.#size.clients);
      return Object.values(figures).every((ms) => ms > 0);
    });
    // By then, those who did not come in time would be taken to be down.
    await this.#clock.run(5_000);
    const { nodes, failovers } = this.#next?.stats() as {
      nodes: { down: number };
      failovers: number;
    };
    return {
      ...figures,
      mapCharacters: JSON.stringify(map).length,
      maps: this.#maps - maps,
      down: nodes.down,
      failovers,
    };
  }

  async close(): Promise<void> {
    for (const beat of this.#beats) beat.cancel();
    for (const router of this.#routers) router.close();
    for (const { session } of this.#nodes) session.close();
    const closed = [...this.#coordinators.values()].map((one) => one.close());
    await this.#clock.run(20_000);
    await Promise.all(closed);
  }

  get #maps(): number {
    return this.#nodes.reduce((sum, { maps }) => sum + maps, 0);
  }

  get #next(): Coordinator | undefined {
    return ["c2", "c3"].map((id) => this.#of(id)).find(({ isActive }) => isActive);
  }

  #of(id: string): Coordinator {
    const found = this.#coordinators.get(id);
    if (found === undefined) throw new KvError("internal", `there is no ${id}`);
    return found;
  }

  async #until(isTrue: () => boolean): Promise<void> {
    const beginMs = this.#clock.monotonicMs();
    while (!isTrue()) {
      if (this.#clock.monotonicMs() > beginMs + WAIT_MS_MAX) {
        throw new KvError("timeout", "it did not come true");
      }
      await this.#clock.run(STEP_MS);
    }
  }

  async #startCoordinators(): Promise<void> {
    const clock = this.#clock;
    for (const id of IDS) {
      const starting = Coordinator.start({
        clock,
        random: this.#random,
        transport: this.#network.transport(id),
        store: new SlowStore(clock),
        logger: () => NO_LOG,
      }, {
        id,
        listen: { host: id, port: 8080 },
        heartbeats: { host: id, port: 3769 },
        settings: { partitionCount: this.#size.partitions, replicationFactor: 3 },
        repairDelayMs: 5_000,
        expectNodes: this.#size.nodes,
        cacheEntries: 10,
        clusterId: "k",
        join: id === "c1" ? [] : ADDRESSES.slice(0, 1),
      });
      await clock.run(100);
      this.#coordinators.set(id, await starting);
    }
    const report = (id: string) => this.#of(id).coordinators();
    await this.#until(() => report("c1").coordinators.length === 3);
    const client = new RpcClient(
      { clock, random: this.#random, transport: this.#network.transport("operator") },
      { host: "c1", port: 8080 },
      hello("client"),
    );
    let isDone = false;
    const change = { req_type: "coordinators_change", add: [] };
    client.request(change, 20_000, () => isDone = true);
    await this.#until(() => isDone);
    client.close();
    await this.#until(() => IDS.every((id) => report(id).revision === report("c1").revision));
  }

  #node(index: number): StormNode {
    const clock = this.#clock;
    const random = new SeededRandom(1_000 + index);
    const identity = { node: randomId(random), instance: `i${index}`, incarnation: 1 };
    const host = `n${index}`;
    let map: ClusterMap | undefined;
    let heard = 0;
    const session = new CoordinatorSession(
      { clock, random, transport: this.#network.transport(host), log: NO_LOG },
      {
        identity: {
          ...identity,
          host,
          port: 8081,
          httpPort: 0,
          zone: host,
          weight: 1,
          memory: false,
        },
        node: {
          held: () => [],
          openedBatch: 0,
          map: () => map,
          onCoordinatorUp: () => {},
          onHandover: () => {},
        },
        locate: (use) => use(ADDRESSES),
        clusterId: () => map?.settings.clusterId,
        joinCluster: (_map, done) => done(undefined),
        onMap: (next) => {
          map = next;
          node.maps++;
        },
        onRegistered: ({ at }) => void (heard = at),
        onMistrust: () => {},
        onHeartbeatAck: ({ at }) => void (heard = at),
        onDown: () => {},
        onLeft: () => {},
        onFatal: (error) => {
          throw error;
        },
      },
    );
    const node: StormNode = { session, maps: 0 };
    this.#beats.push(setPeriodic(clock, HEARTBEAT_INTERVAL_MS, () => {
      const epoch = map?.epoch ?? 0;
      const sent = clock.monotonicMs();
      const beat = { ...identity, sent, epoch, map: epoch, heard, unserved: 0 };
      session.send({ req_type: "heartbeat", ...beat });
    }));
    return node;
  }

  #client(index: number): Router {
    const deps = {
      clock: this.#clock,
      random: new SeededRandom(100_000 + index),
      transport: this.#network.transport(`client${index}`),
    };
    return new Router(deps, { role: "client", seeds: ADDRESSES });
  }
}
