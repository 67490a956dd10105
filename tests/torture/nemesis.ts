/**
 * What goes wrong in a torture run: up to three things at once; each ends by itself.
 *
 * @module
 */
import { type Random, randomBelow } from "../../shared/platform/random.ts";
import type { TortureCluster, TortureProcess } from "./torture_cluster.ts";

/** How many things go wrong at once. */
const AT_ONCE_MAX = 3;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Fault {
  readonly name: string;
  act(): Promise<void> | void;
}

/** See the top of this file. */
export class Nemesis {
  readonly counts = new Map<string, number>();
  readonly #cluster: TortureCluster;
  readonly #random: Random;
  readonly #underWay = new Set<Promise<void>>();
  /** Processes that something is being done to. */
  readonly #busy = new Set<TortureProcess>();
  #problem: unknown;
  #isRotated = false;

  constructor(cluster: TortureCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** @throws what a fault could not do, or a process that has ended by itself */
  async run(untilMs: number): Promise<void> {
    while (performance.now() < untilMs) {
      await sleep(200 + this.#below(1_800));
      const [dead] = this.#cluster.deaths;
      if (dead !== undefined) throw new Error(dead);
      if (this.#problem !== undefined) throw this.#problem;
      if (this.#underWay.size >= AT_ONCE_MAX) continue;
      const fault = this.#choose();
      if (fault === undefined) continue;
      this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1);
      const done: Promise<void> = this.#carryOut(fault).finally(() => this.#underWay.delete(done));
      this.#underWay.add(done);
    }
    await Promise.all(this.#underWay);
    if (this.#problem !== undefined) throw this.#problem;
    this.#cluster.links.heal();
    this.#cluster.disturbHeartbeats(0, 0);
  }

  async #carryOut(fault: Fault): Promise<void> {
    try {
      await fault.act();
    } catch (error) {
      this.#problem ??= error;
    }
  }

  #below(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  #oneOf<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }

  #choose(): Fault | undefined {
    const { coordinators, nodes } = this.#cluster;
    const kind = this.#below(3) === 0 ? coordinators : nodes;
    const free = this.#oneOf(kind.filter((member) => !this.#busy.has(member)));
    switch (this.#below(10)) {
      case 0:
      case 1:
        return free && { name: `${free.kind} killed`, act: () => this.#end(free, "crash") };
      case 2:
        return free && { name: `${free.kind} stopped`, act: () => this.#end(free, "stop") };
      case 3:
      case 4:
        return free && { name: `${free.kind} paused`, act: () => this.#pause(free) };
      case 5:
        return this.#cutOneWay();
      case 6:
        return this.#cutOff();
      case 7:
        return this.#slowDown();
      case 8:
        if (this.#cluster.credentials !== undefined && !this.#isRotated) {
          return { name: "authority rotated", act: () => this.#rotate() };
        }
        return free && {
          name: `connections of a ${free.kind} reset`,
          act: () => this.#cluster.reset(free),
        };
      default:
        return {
          name: "heartbeats lost and doubled",
          act: async () => {
            this.#cluster.disturbHeartbeats(this.#below(70), this.#below(50));
            await sleep(2_000 + this.#below(5_000));
            this.#cluster.disturbHeartbeats(0, 0);
          },
        };
    }
  }

  /** Two processes, which may be one. */
  #two(): [from: string, to: string] {
    const names = this.#cluster.processes.map(({ name }) => name);
    return [this.#oneOf(names) ?? "", this.#oneOf(names) ?? ""];
  }

  #cutOneWay(): Fault {
    const [from, to] = this.#two();
    const { links } = this.#cluster;
    return {
      name: "one way cut",
      act: async () => {
        links.set(from, to, { cut: true });
        await sleep(200 + this.#below(6_000));
        links.set(from, to, { cut: false });
      },
    };
  }

  #cutOff(): Fault {
    const [from] = this.#two();
    const all = [...this.#cluster.processes.map(({ name }) => name), "client"];
    return {
      name: `${from.split(" ")[0]} cut off`,
      act: async () => {
        for (const other of all) this.#cut(from, other, true);
        await sleep(200 + this.#below(6_000));
        for (const other of all) this.#cut(from, other, false);
      },
    };
  }

  #slowDown(): Fault {
    const [from, to] = this.#two();
    const { links } = this.#cluster;
    return {
      name: "slow link",
      act: async () => {
        const delayMs = 5 + this.#below(400);
        links.set(from, to, { delayMs });
        links.set(to, from, { delayMs });
        await sleep(1_000 + this.#below(6_000));
        links.set(from, to, { delayMs: 0 });
        links.set(to, from, { delayMs: 0 });
      },
    };
  }

  #cut(a: string, b: string, cut: boolean): void {
    this.#cluster.links.set(a, b, { cut });
    this.#cluster.links.set(b, a, { cut });
  }

  async #end(member: TortureProcess, how: "crash" | "stop"): Promise<void> {
    this.#busy.add(member);
    await this.#cluster.end(member, how);
    await sleep(this.#below(8_000));
    await this.#cluster.restart(member);
    this.#busy.delete(member);
  }

  async #pause(member: TortureProcess): Promise<void> {
    this.#busy.add(member);
    member.process.signal("SIGSTOP");
    await sleep(100 + this.#below(6_000));
    member.process.signal("SIGCONT");
    this.#busy.delete(member);
  }

  /** A new authority, once in a run; the clients go on by the former one. */
  async #rotate(): Promise<void> {
    this.#isRotated = true;
    const { req_type: type } = await this.#cluster.order({ req_type: "cert_rotate" });
    // Nobody could take the order: another time.
    if (type === "error") this.#isRotated = false;
  }
}
