/**
 * The coordinator's state machine against a naive model of nodes: disks that keep what was written
 * to them, primaries that resync their replicas, write to all of them, and read under a lease. Random
 * events; after each step no acknowledged write is missing where it could be read.
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import type { NodeId, PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import type { HeldPartition } from "../../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { idOf, type Process, World } from "../../../support/worlds/membership_world.ts";

const PARTITIONS = 4;
const LETTERS = ["a", "b", "c", "d", "e"];

interface HeldData {
  term: number;
  seq: number;
}

/** What a process knows beyond the coordinator's view of it. */
interface NodeModel {
  readonly process: Process;
  disk: Map<number, HeldData>;
  /** Answers reads, but its disk is another process's now. */
  zombie: boolean;
  readonly letter: string;
  /** Newest configuration, from the map or from a primary. */
  readonly configs: Map<number, PartitionConfig>;
  /** The term for which it has resynced its replicas. */
  readonly resynced: Map<number, number>;
  /** The term in which it drained. */
  readonly drained: Map<number, { term: number; atMs: number }>;
  /** Learners that it waits for, of a term. */
  readonly levelled: Map<number, { term: number; ids: Set<NodeId> }>;
}

class Model {
  readonly world: World;
  readonly random: SeededRandom;
  readonly disks = new Map<NodeId, Map<number, HeldData>>();
  readonly acked = new Map<number, number>();
  readonly nodes: NodeModel[] = [];
  writes = 0;
  trace: string[] = [];
  peace = false;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.world = new World({
      settings: { partitionCount: PARTITIONS, replicationFactor: 1 + this.below(3) },
      expectNodes: 1 + this.below(3),
    });
    for (const letter of LETTERS.slice(0, 3)) this.start(letter);
    this.advance(1_000);
  }

  below(bound: number): number {
    return randomBelow(this.random, bound);
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  get alive(): NodeModel[] {
    return this.nodes.filter(({ process }) => process.alive);
  }

  disk(id: NodeId): Map<number, HeldData> {
    let disk = this.disks.get(id);
    if (disk === undefined) this.disks.set(id, disk = new Map());
    return disk;
  }

  held(id: NodeId): HeldPartition[] {
    return [...this.disk(id)].map(([p, { term, seq }]) => [p, term, seq, 0]);
  }

  start(letter: string): void {
    const id = idOf(letter);
    const process = this.world.start(letter, { held: this.held(id), register: false });
    this.nodes.push({
      process,
      disk: this.disk(id),
      zombie: false,
      letter,
      configs: new Map(),
      resynced: new Map(),
      drained: new Map(),
      levelled: new Map(),
    });
    this.world.register(process, { held: this.held(id) });
  }

  /** Nodes take in their maps, resync, write, report, register again. */
  work(): void {
    for (const node of this.alive) {
      const { process } = node;
      if (node.zombie && process.leaseUntilMs < this.world.nowMs) process.alive = false;
      const mine = this.world.closed.includes(process.session);
      const told = process.inbox.some((m) => m.req_type === "register_again");
      if ((mine || told || !process.registered && process.session === 0) && process.heard) {
        process.inbox = process.inbox.filter((m) => m.req_type !== "register_again");
        this.world.closed = this.world.closed.filter((s) => s !== process.session);
        const refusal = this.world.register(process, { held: this.held(process.node) });
        if (refusal?.code === "stale_incarnation") process.alive = false;
      }
      process.map?.partitions.forEach((config, p) => this.adopt(node, p, config));
      this.orders(node);
    }
    for (const node of this.alive) {
      for (let p = 0; p < PARTITIONS; p++) this.lead(node, p);
    }
    this.check();
  }

  adopt(node: NodeModel, p: number, config: PartitionConfig): void {
    const known = node.configs.get(p);
    if (known !== undefined && known.term > config.term) return;
    node.configs.set(p, config);
  }

  orders({ process, drained, configs, zombie }: NodeModel): void {
    if (zombie) return;
    for (const message of process.inbox.splice(0)) {
      if (message.req_type === "handover") {
        const { p, term } = message;
        if (configs.get(p)?.term !== term || (!this.peace && this.below(4) === 0)) continue;
        drained.set(p, { term, atMs: this.world.nowMs });
        if (this.below(4) > 0) this.world.report(process, { req_type: "drained", p, term });
      } else if (message.req_type === "left") {
        this.trace.push(`left ${process.node[0]}`);
        this.world.kill(process);
        return;
      }
    }
    for (const [p, { term, atMs }] of drained) {
      if (configs.get(p)?.term !== term) drained.delete(p);
      else if (this.world.nowMs > atMs + 2_000 && process.heard && !process.deaf) {
        this.world.report(process, { req_type: "resumed", p, term });
      }
    }
  }

  /** A replica refuses what is older than it knows, or than an earlier process has written down. */
  termOf(node: NodeModel, p: number): number {
    const onDisk = node.disk.get(p)?.term ?? 0;
    return Math.max(onDisk, node.configs.get(p)?.term ?? 0);
  }

  /** The living process of a node that answers its peers. */
  peer(id: NodeId): NodeModel | undefined {
    return this.alive.findLast(({ process, zombie }) => process.node === id && !zombie);
  }

  lead(node: NodeModel, p: number): void {
    const config = node.configs.get(p);
    const { process } = node;
    if (node.zombie) return;
    // Only a process that the map was given to acts on it.
    if (config?.primary !== process.node || process.map === undefined) return;
    if (this.termOf(node, p) > config.term) return;
    const disk = node.disk;
    if (node.resynced.get(p) !== config.term) {
      const mine = disk.get(p) ?? { term: 0, seq: 0 };
      disk.set(p, { term: config.term, seq: mine.seq });
      const { levelled } = node;
      const ids = new Set(config.inSync);
      if (levelled.get(p)?.term === config.term) levelled.get(p)?.ids.forEach((id) => ids.add(id));
      ids.delete(process.node);
      const peers = [...ids].map((id) => this.peer(id));
      for (const peer of peers) {
        if (peer === undefined || this.termOf(peer, p) > config.term) return;
      }
      for (const peer of peers) {
        assertExists(peer);
        this.adopt(peer, p, config);
        peer.disk.set(p, { term: config.term, seq: mine.seq });
      }
      node.resynced.set(p, config.term);
      this.trace.push(`${process.node[0]} leads ${p} term ${config.term} seq ${mine.seq}`);
      assert(mine.seq >= (this.acked.get(p) ?? 0), `partition ${p}: an acknowledged write is lost`);
    }
    this.fill(node, p, config);
    if (node.drained.get(p)?.term !== config.term) this.write(node, p, config);
  }

  fill(node: NodeModel, p: number, config: PartitionConfig): void {
    const { process, levelled } = node;
    if (levelled.get(p)?.term !== config.term) {
      levelled.set(p, { term: config.term, ids: new Set() });
    }
    const mine = node.disk.get(p);
    assertExists(mine);
    for (const id of config.learners) {
      const peer = this.peer(id);
      if (peer === undefined || this.below(3) > 0) continue;
      if (this.termOf(peer, p) > config.term) continue;
      this.adopt(peer, p, config);
      peer.disk.set(p, { ...mine });
      levelled.get(p)?.ids.add(id);
      if (process.heard && !process.deaf) {
        this.world.report(process, { req_type: "caught_up", p, term: config.term, node: id });
      }
    }
  }

  write(node: NodeModel, p: number, config: PartitionConfig): void {
    const mine = node.disk.get(p);
    assertExists(mine);
    const seq = mine.seq + 1;
    node.disk.set(p, { term: config.term, seq });
    const waited = new Set([...config.inSync, ...(node.levelled.get(p)?.ids ?? [])]);
    waited.delete(node.process.node);
    let missing: NodeId | undefined;
    for (const id of waited) {
      const peer = this.peer(id);
      const takes = peer !== undefined && peer.configs.get(p)?.term === config.term &&
        peer.disk.get(p)?.seq === mine.seq;
      if (takes && (this.peace || this.below(30) > 0)) {
        peer.disk.set(p, { term: config.term, seq });
      } else missing = id;
    }
    if (missing === undefined) {
      this.acked.set(p, Math.max(seq, this.acked.get(p) ?? 0));
      this.writes++;
      return;
    }
    // The write stays unacknowledged, and what it waits for is reported; then everything is resynced again.
    node.resynced.delete(p);
    if (node.process.heard && !node.process.deaf && this.below(2) === 0) {
      this.world.report(node.process, {
        req_type: "lagging",
        p,
        term: config.term,
        node: missing,
        reason: "random",
      });
    }
  }

  /** Whoever may answer reads alone knows every acknowledged write. */
  check(): void {
    for (const node of this.alive) {
      const { process } = node;
      if (process.leaseUntilMs <= this.world.nowMs) continue;
      for (let p = 0; p < PARTITIONS; p++) {
        const config = node.configs.get(p);
        if (config?.primary !== process.node || node.resynced.get(p) !== config.term) continue;
        if (node.drained.get(p)?.term === config.term) continue;
        const seq = node.disk.get(p)?.seq ?? 0;
        assert(
          seq >= (this.acked.get(p) ?? 0),
          `partition ${p}: ${process.node} may read stale data under its lease`,
        );
      }
    }
  }

  advance(ms: number): void {
    const endMs = this.world.nowMs + ms;
    while (this.world.nowMs < endMs) {
      this.world.advance(50);
      this.work();
    }
  }

  step(): void {
    const { world } = this;
    const node = this.pick(this.alive);
    const dice = this.below(100);
    if (dice < 10 && node !== undefined) {
      this.trace.push(`kill ${node.letter}`);
      world.kill(node.process);
    } else if (dice < 28) {
      const dead = LETTERS.filter((l) => this.peer(idOf(l)) === undefined);
      const letter = this.pick(dead);
      if (letter !== undefined) {
        const empty = this.below(12) === 0 && this.mayEmpty(idOf(letter));
        this.trace.push(`start ${letter}${empty ? " emptied" : ""}`);
        if (empty) this.disks.delete(idOf(letter));
        this.start(letter);
      }
    } else if (dice < 34 && node !== undefined && !node.zombie) {
      // Sometimes the old process lives on for a while, cut off from its disk.
      node.zombie = this.below(2) === 0;
      this.trace.push(`restart ${node.letter}${node.zombie ? ", old one lives on" : ""}`);
      if (!node.zombie) world.kill(node.process);
      else node.disk = new Map(node.disk);
      this.start(node.letter);
    } else if (dice < 44 && node !== undefined) {
      this.trace.push(`${node.process.heard ? "mute" : "unmute"} ${node.letter}`);
      node.process.heard = !node.process.heard;
    } else if (dice < 54 && node !== undefined) {
      this.trace.push(`${node.process.deaf ? "undeafen" : "deafen"} ${node.letter}`);
      if (node.process.deaf) world.undeafen(node.process);
      else node.process.deaf = true;
    } else if (dice < 57) {
      this.trace.push("kill all");
      for (const { process } of this.alive) world.kill(process);
    } else if (dice < 62) {
      this.restartCoordinator();
    } else if (dice < 70) {
      world.autoPersist = !world.autoPersist;
      this.trace.push(world.autoPersist ? "disk on" : "disk slow");
      if (world.writing !== undefined && world.autoPersist) world.persist();
    } else if (dice < 73 && world.writing !== undefined) {
      world.failWrites = true;
      world.persist();
      world.failWrites = false;
    } else if (dice < 77 && node !== undefined && node.process.heard) {
      this.trace.push(`leave ${node.letter}`);
      world.leave(node.process, this.below(2) === 0);
    } else if (dice < 79 && node !== undefined && node.process.heard) {
      this.damage(node);
    }
    this.work();
    this.advance([50, 100, 300, 1_000, 3_000][this.below(5)] ?? 50);
  }

  restartCoordinator(): void {
    if (this.world.disk === undefined) return;
    this.trace.push("restart coordinator");
    this.world.restartCoordinator();
    this.world.autoPersist = true;
    for (const { process } of this.alive) {
      process.session = 0;
      process.heldUp = [];
    }
  }

  /** A disk may be emptied only if others have what was on it. */
  mayEmpty(id: NodeId): boolean {
    // What is decided and not published cannot be seen here.
    return this.world.autoPersist &&
      this.world.map.partitions.every(({ inSync }, p) =>
        !inSync.includes(id) || inSync.some((other) => other !== id && this.disk(other).has(p))
      );
  }

  damage(node: NodeModel): void {
    const p = this.below(PARTITIONS);
    const config = node.configs.get(p);
    if (config === undefined || !config.inSync.includes(node.process.node)) return;
    if (config.inSync.length < 2) return;
    this.trace.push(`damage ${node.letter} ${p}`);
    // It stops serving the partition, and says so.
    node.drained.set(p, { term: config.term, atMs: Infinity });
    this.world.report(node.process, { req_type: "damaged", p, term: config.term });
  }

  /** Peace: everything comes back, and everything must become whole. */
  heal(): void {
    const { world } = this;
    this.trace.push("peace");
    this.peace = true;
    world.autoPersist = true;
    if (world.writing !== undefined) world.persist();
    for (const { process } of this.alive) {
      process.heard = true;
      if (process.deaf) world.undeafen(process);
    }
    for (const letter of LETTERS) if (this.peer(idOf(letter)) === undefined) this.start(letter);
    this.advance(60_000);
    for (const letter of LETTERS) if (this.peer(idOf(letter)) === undefined) this.start(letter);
    this.advance(60_000);
  }
}

for (let seed = 1; seed <= 100; seed++) {
  Deno.test(`ClusterController: random events, seed ${seed}`, () => {
    const model = new Model(seed);
    try {
      for (let i = 0; i < 120; i++) model.step();
      model.heal();
      const stats = model.world.controller.stats();
      assert(model.writes > 100, `only ${model.writes} writes`);
      assertEquals(stats.unavailable_partitions, 0);
      assertEquals(stats.under_replicated_partitions, 0);
    } catch (error) {
      console.error(model.trace.slice(-60).join("\n"));
      throw error;
    }
  });
}
