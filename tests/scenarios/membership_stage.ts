/**
 * The commands of `membership/*.txt`: the coordinator's state machine, with its disk, its clock and its
 * nodes played by the scenario. All nodes that live send heartbeats as time passes, and each map and
 * acknowledgement arrives at once, unless a command says otherwise.
 *
 * Told are maps when they are published, with what is new in them; orders to nodes; and refusals. That a
 * node is sent each map is not: only the first one, which tells it that it is registered.
 *
 * @module
 */
import { assertExists } from "@std/assert";
import { failureOf } from "../../shared/base/errors.ts";
import {
  type ClusterMap,
  type ClusterSettings,
  type NodeInfo,
  type PartitionConfig,
} from "../../shared/cluster/cluster_map.ts";
import type { HeldPartition, Message } from "../../shared/wire/messages.ts";
import type { Input } from "../../coordinator/controller/input.ts";
import type { StoredCluster } from "../../coordinator/state/stored_cluster.ts";
import type { Report } from "../../coordinator/partitions/reports.ts";
import { idOf, type Process, World } from "../support/worlds/membership_world.ts";
import type { Stage } from "./scenario.ts";

/** The commands, and what they do. `A` and `B` are nodes, by one letter. */
export const COMMANDS: Readonly<Record<string, string>> = {
  "cluster [nodes N] [partitions N] [factor N] [min-in-sync N] [repair-delay MS] [secured yes]":
    "a new cluster, which is laid out when so many nodes are there: replicas are wanted for on the first of " +
    "them by name, the primary on the first of all",
  "start A… [held P:TERM:LAST[:damaged],…] [batch N]":
    "new processes of nodes register, with what their disks hold; each beats as soon as it hears that it is",
  "A claims map EPOCH|term TERM":
    "it registers over a new session, and says wrongly that it has seen a map of this start of the coordinator, or " +
    "holds partition 0 in a term",
  "kill A": "the process dies, and its connection with it",
  "disconnect A, connect A": "its session ends; the same process registers over a new one",
  "silence A on|off": "its heartbeats do not arrive",
  "deafen A on|off": "what it is sent over its session is held up",
  "beat A": "a heartbeat by UDP, and what comes of it",
  "lease A": "for how long the node may answer reads without asking anybody",
  "A caught_up|lagging B, A drained|damaged|resumed [in TERM]": "a report of partition 0",
  "A stops, A leaves": "its process will end; it is to be emptied for good",
  "A disk full|well": "whether its disk takes writes",
  "force A": "an operator makes A primary of partition 0",
  "forget A [force]": "an operator says that A is gone for good",
  "create NAME, drop NAME": "a database is made, or dropped",
  "disk held|free": "whether maps are written only by command",
  "disk writes, disk fails": "the write under way ends",
  "restart [lease MS] [accept EPOCH]": "the coordinator dies and is started on what its disk holds",
  "replica, put back": "the coordinator's document is copied; the replica is put in its place",
  "wait MS": "time passes; what comes of it is told with the time after which it came",
  "show": "the newest map",
};

/** The stage of a new scenario. */
export function membershipStage(): Stage {
  const stage = new MembershipStage();
  return {
    carryOut: (command) => {
      stage.carryOut(command);
      return Promise.resolve();
    },
    takeLines: () => stage.takeLines(),
  };
}

/** The value behind each name: `nodes 3 factor 2`. */
function options(words: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i + 1 < words.length; i += 2) found.set(words[i] ?? "", words[i + 1] ?? "");
  return found;
}

class MembershipStage {
  #lines: string[] = [];
  #world: World | undefined;
  /** The latest process of each node, by its letter. */
  readonly #processes = new Map<string, Process>();
  #copied: StoredCluster | undefined;
  /** When the time that passes now began to. */
  #waitsSinceMs: number | undefined;

  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  carryOut(command: string): void {
    const [name = "", a = "", ...rest] = command.split(" ");
    switch (name) {
      case "cluster":
        return this.#begin(options([a, ...rest]));
      case "start": {
        const letters = [a, ...rest].filter((word) => word.length === 1);
        const given = options([a, ...rest].slice(letters.length));
        for (const letter of letters) this.#start(letter, given);
        return;
      }
      case "kill":
        return this.#cluster.kill(this.#process(a));
      case "disconnect": {
        const { controller, nowMs } = this.#cluster;
        controller.sessionClosed(this.#process(a).session, nowMs);
        this.#settleDisk();
        return;
      }
      case "connect":
        return this.#register(a, new Map());
      case "silence":
        this.#process(a).heard = rest[0] === "off";
        return;
      case "deafen":
        if (rest[0] === "off") this.#cluster.undeafen(this.#process(a));
        else this.#process(a).deaf = true;
        return;
      case "beat": {
        const ack = this.#cluster.beat(this.#process(a));
        const lease = ack?.lease === true ? "lease" : "no lease";
        this.#say(
          ack === undefined ? "no acknowledgement" : `acknowledged: epoch ${ack.epoch}, ${lease}`,
        );
        return;
      }
      case "lease": {
        const leftMs = Math.round(this.#process(a).leaseUntilMs - this.#cluster.nowMs);
        this.#say(leftMs > 0 ? `${a} has a lease for ${leftMs} ms` : `${a} has no lease`);
        return;
      }
      case "force":
        return this.#order(({ controller, nowMs, forced }) => {
          forced.add(`0/${idOf(a)}`);
          controller.force(0, idOf(a), nowMs);
        });
      case "forget":
        return this.#order(({ controller, nowMs, forced }) => {
          const made = controller.forgetNode(idOf(a), rest[0] === "force", nowMs);
          for (const { partition, node } of made) forced.add(`${partition}/${node}`);
        });
      case "create":
        return this.#changeDatabases({
          type: "create_database",
          order: { name: a },
          ifAbsent: false,
        });
      case "drop":
        return this.#changeDatabases({ type: "drop_database", name: a });
      case "disk":
        return this.#disk(a);
      case "restart":
        return this.#restart(options([a, ...rest]));
      case "replica":
        this.#copied = structuredClone(this.#cluster.disk);
        return;
      case "put":
        this.#cluster.disk = this.#copied;
        // What was published after it is forgotten with it.
        this.#cluster.publishedMaps = [];
        return;
      case "wait": {
        this.#waitsSinceMs = this.#cluster.nowMs;
        this.#cluster.advance(Number(a));
        this.#waitsSinceMs = undefined;
        return;
      }
      case "show": {
        const { map } = this.#cluster;
        this.#say([`map ${map.epoch}`, ...mapTexts(map, undefined)].join("; "));
        return;
      }
    }
    if (this.#processes.has(name)) this.#hear(name, a, rest);
    else throw new Error(`there is no command ${name}`);
  }

  /** What a node says to the coordinator over its session. */
  #hear(letter: string, what: string, rest: readonly string[]): void {
    const world = this.#cluster;
    const process = this.#process(letter);
    switch (what) {
      case "stops":
      case "leaves":
        return world.leave(process, what === "stops");
      case "disk":
        return world.sayDisk(process, rest[0] === "well");
      case "claims":
        return this.#claim(letter, rest[0] ?? "", Number(rest[1]));
    }
    const at = rest.indexOf("in");
    const term = at === -1 ? world.config(0).term : Number(rest[at + 1]);
    const about = rest[0] === undefined || at === 0 ? {} : { node: idOf(rest[0]) };
    const reason = what === "lagging" ? { reason: "level" } : {};
    world.report(process, { req_type: what, p: 0, term, ...about, ...reason } as Report);
  }

  #begin(given: ReadonlyMap<string, string>): void {
    const number = (name: string, otherwise: number) => Number(given.get(name) ?? otherwise);
    this.#world = new World({
      expectNodes: number("nodes", 1),
      repairDelayMs: number("repair-delay", 60_000),
      secured: given.get("secured") === "yes",
      settings: {
        partitionCount: number("partitions", 1),
        replicationFactor: number("factor", 2),
        minInSync: number("min-in-sync", 1),
      },
      place: (nodes, partitions, factor) =>
        Array.from({ length: partitions }, () => nodes.slice(0, factor).map(({ id }) => id)),
      observer: {
        writes: ({ map }) => {
          if (this.#world?.autoPersist === false) this.#say(`writes map ${map.epoch}`);
        },
        published: (map, before) =>
          this.#say([`map ${map.epoch}`, ...mapTexts(map, before)].join("; ")),
        sent: (process, message) => this.#sent(process, message),
        closed: (session) => this.#say(`closes session ${session}`),
      },
    });
  }

  #start(letter: string, given: ReadonlyMap<string, string>): void {
    const batch = Number(given.get("batch") ?? 0);
    this.#processes.set(letter, this.#cluster.start(letter, { batch, register: false }));
    this.#register(letter, given);
  }

  #register(letter: string, given: ReadonlyMap<string, string>): void {
    const held = (given.get("held")?.split(",") ?? []).map((text): HeldPartition => {
      const [p, term, last, damaged] = text.split(":");
      return [Number(p), Number(term), Number(last), damaged === "damaged" ? 1 : 0];
    });
    const refusal = this.#cluster.register(this.#process(letter), { held });
    if (refusal !== undefined) this.#say(`${letter} is refused: ${refusal.code}`);
  }

  #claim(letter: string, what: string, number: number): void {
    const { generation } = this.#cluster.map;
    const claims: Partial<Message<"register">> = what === "term" ? { held: [[0, number, 1, 0]] } : {
      seen_epoch: number,
      ...(generation === undefined ? {} : { seen_generation: generation }),
    };
    const refusal = this.#cluster.register(this.#process(letter), { claims });
    if (refusal !== undefined) this.#say(`${letter} is refused: ${refusal.code}`);
  }

  /** What an operator orders. */
  #order(give: (world: World) => void): void {
    try {
      give(this.#cluster);
    } catch (error) {
      this.#say(`refused: ${failureOf(error).code}`);
    }
    this.#settleDisk();
  }

  #changeDatabases(input: Input): void {
    const { controller, nowMs } = this.#cluster;
    const { refusal } = controller.step(input, nowMs);
    if (refusal !== undefined) this.#say(`refused: ${refusal.code}`);
    this.#settleDisk();
  }

  #disk(what: string): void {
    const world = this.#cluster;
    if (what === "held") world.autoPersist = false;
    else if (what === "free") {
      world.autoPersist = true;
      this.#settleDisk();
    } else {
      world.failWrites = what === "fails";
      world.persist();
      world.failWrites = false;
    }
  }

  #restart(given: ReadonlyMap<string, string>): void {
    const accept = given.get("accept");
    const leaseMs = given.get("lease");
    const settings: Partial<ClusterSettings> = leaseMs === undefined
      ? {}
      : { leaseMs: Number(leaseMs) };
    this.#cluster.acceptEpoch = accept === undefined ? undefined : Number(accept);
    this.#cluster.restartCoordinator(settings);
  }

  #settleDisk(): void {
    const world = this.#cluster;
    if (world.autoPersist) { while (world.writing !== undefined) world.persist(); }
  }

  #sent({ node }: Process, message: Message): void {
    const to = `-> ${nameOf(node)}:`;
    switch (message.req_type) {
      case "map_delta":
        return;
      case "registered":
        this.#say(`${to} registered, map ${message.map.epoch}`);
        return;
      case "handover":
        this.#say(`${to} handover to ${nameOf(message.to)} in term ${message.term}`);
        return;
      default:
        this.#say(`${to} ${message.req_type}`);
    }
  }

  get #cluster(): World {
    assertExists(this.#world, "there is a cluster");
    return this.#world;
  }

  #process(letter: string): Process {
    const process = this.#processes.get(letter);
    assertExists(process, `there is a node ${letter}`);
    return process;
  }

  #say(line: string): void {
    const sinceMs = this.#waitsSinceMs;
    const after = sinceMs === undefined ? "" : `after ${this.#cluster.nowMs - sinceMs} ms: `;
    this.#lines.push(`${after}${line}`);
  }
}

const nameOf = (id: string) => id[0] ?? "";

/** What is new in a map; all of it if there is none before. */
function mapTexts(map: ClusterMap, before: ClusterMap | undefined): string[] {
  const nodes = map.nodes.filter((node) =>
    JSON.stringify(node) !== JSON.stringify(before?.nodes.find(({ id }) => id === node.id))
  );
  const gone = (before?.nodes ?? []).filter(({ id }) => !map.nodes.some((node) => node.id === id));
  const partitions = map.partitions.flatMap((config, p) => {
    const same = JSON.stringify(config) === JSON.stringify(before?.partitions[p]);
    if (same || config.term === 0) return [];
    return [`${map.partitions.length > 1 ? `partition ${p} ` : ""}${configText(config)}`];
  });
  const { leaseMs } = map.settings;
  return [
    ...nodes.map(nodeText),
    ...gone.map(({ id }) => `${nameOf(id)} is off the list`),
    ...(before !== undefined && leaseMs !== before.settings.leaseMs
      ? [`leases of ${leaseMs} ms`]
      : []),
    ...databaseTexts(map, before),
    ...partitions,
  ];
}

function databaseTexts({ databases }: ClusterMap, before: ClusterMap | undefined): string[] {
  const list = databases?.list ?? [];
  if (JSON.stringify(list) === JSON.stringify(before?.databases?.list ?? [])) return [];
  const names = list.map(({ name, number }) => `${name} (${number})`);
  return [names.length === 0 ? "no databases" : `databases ${names.join(", ")}`];
}

function nodeText({ id, state, incarnation }: NodeInfo): string {
  return `${nameOf(id)} ${state}${incarnation > 1 ? `, start ${incarnation}` : ""}`;
}

function configText({ term, primary, inSync, learners }: PartitionConfig): string {
  const names = (ids: readonly string[]) => ids.map(nameOf).join(",");
  const filled = learners.length > 0 ? ` learners ${names(learners)}` : "";
  const leader = primary === undefined ? "nobody" : nameOf(primary);
  return `(term ${term}, ${leader} of ${names(inSync)}${filled})`;
}
