/**
 * The commands of `transactions/*.txt`: transactions over the partitions of three nodes. What the nodes say to each
 * other about them waits until a command delivers it; replication within a partition goes on by itself, as time passes.
 *
 * There are four partitions: keys `a` and `h` are in the first, led by n1; `c` and `m` in the second, led by n2; `b`
 * and `d` in the third, led by n3; `e` in the fourth, led by n1.
 *
 * @module
 */
import { isTombstone } from "../../shared/base/entry.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import type { KeyRequest, PartRequest, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";
import { NodeCluster } from "../support/worlds/node_cluster.ts";
import type { Stage } from "./scenario.ts";

/** The commands, and what they do. `A` is a node. */
export const COMMANDS: Readonly<Record<string, string>> = {
  "A REQUEST KEY [FIELD=VALUE…]": "a client's request at a node; a value may be JSON",
  "deliver [N]": "delivers the oldest N messages between the nodes, by default one",
  "deliver all": "delivers all messages, and what comes of them, until there are none",
  "lose [N]": "the oldest N messages are lost; whoever waits for an answer gives up in time",
  "kill A, start A": "kill -9; and starts it again on what its disk holds",
  "down A": "the coordinator declares the node failed: others take over",
  "wait MS": "time passes",
  "show KEY…": "what the primaries of the keys hold of them, and of transactions",
};

const PARTITIONS = 4;
/** Longer than a write takes. */
const STEP_MS = 20;
const LOST_MS = 2_000;

/** On its way between two nodes. */
interface Parcel {
  readonly text: string;
  arrive(): void;
  readonly giveUp: (() => void) | undefined;
}

/** The stage of a new scenario. */
export function transactionsStage(): Stage {
  const world = new TransactionsWorld();
  return {
    carryOut: (command) => world.carryOut(command),
    takeLines: () => world.takeLines(),
  };
}

class TransactionsWorld {
  readonly #cluster = new NodeCluster({ nodes: 3, partitions: PARTITIONS, replicas: 3 });
  readonly #attempts: string[] = [];
  #parcels: Parcel[] = [];
  #lines: string[] = [];
  #requests = 0;
  #started = false;

  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  async carryOut(command: string): Promise<void> {
    if (!this.#started) {
      this.#started = true;
      await this.#cluster.startAll();
      for (const id of this.#cluster.hosts.keys()) this.#listen(id);
    }
    const [name = "", ...rest] = command.split(" ");
    const [first = ""] = rest;
    switch (name) {
      case "deliver":
        return await this.#deliver(first);
      case "lose":
        for (const parcel of this.#parcels.splice(0, Number(first || 1))) {
          this.#lines.push(`lost: ${parcel.text}`);
          if (parcel.giveUp !== undefined) this.#cluster.clock.setTimer(LOST_MS, parcel.giveUp);
        }
        return;
      case "kill":
        this.#cluster.crash(first);
        return await this.#cluster.run(STEP_MS);
      case "start":
        await this.#cluster.start(first);
        this.#listen(first);
        return await this.#cluster.run(STEP_MS);
      case "down":
        this.#cluster.fail(first);
        return await this.#cluster.run(STEP_MS);
      case "wait":
        return await this.#cluster.run(Number(first));
      case "show":
        for (const key of rest) this.#show(key);
        return;
      default:
        return await this.#ask(name, rest);
    }
  }

  async #ask(node: string, words: readonly string[]): Promise<void> {
    const [req_type, key, ...rest] = words;
    const fields: Record<string, unknown> = {};
    for (const word of rest) {
      const at = word.indexOf("=");
      const text = word.slice(at + 1);
      if (at < 0) fields.value = word;
      else {fields[word.slice(0, at)] = /^[[{\d]|^(true|false)$/.test(text)
          ? JSON.parse(text)
          : text;}
    }
    const number = ++this.#requests;
    const request = { req_type, key, ...fields } as unknown as KeyRequest;
    this.#cluster.node(node).execute(request, (reply) => {
      this.#lines.push(`request ${number}: ${this.#textOf(reply)}`);
    });
    await this.#cluster.run(STEP_MS);
  }

  /** What a node says to others about transactions waits. */
  #listen(id: string): void {
    const node = this.#cluster.node(id);
    node.route = (request, _timeoutMs, done) => {
      const { primary = "nobody" } = this.#cluster.config(partitionOf(request.key, PARTITIONS));
      const isOver = () => this.#cluster.hosts.get(id)?.node !== node;
      const finish: ReplyTo = (reply) => {
        if (!isOver()) done(reply);
      };
      this.#send({
        text: `${id} -> ${primary}: ${this.#orderText(request)}`,
        arrive: () => this.#arrive(request, id, finish),
        giveUp: () => finish({ req_type: "error", code: "timeout", message: "lost" }),
      });
    };
  }

  #send(parcel: Parcel): void {
    this.#parcels.push(parcel);
    this.#lines.push(parcel.text);
  }

  #arrive(request: PartRequest, from: string, done: ReplyTo): void {
    const { primary = "" } = this.#cluster.config(partitionOf(request.key, PARTITIONS));
    const to = this.#cluster.hosts.get(primary)?.node;
    if (to === undefined) {
      this.#lines.push(`nobody is there`);
      this.#cluster.clock.setTimer(
        LOST_MS,
        () => done({ req_type: "error", code: "unavailable", message: "nobody is there" }),
      );
      return;
    }
    to.execute(structuredClone(wireForm(request)), (reply) => {
      const form = structuredClone(wireForm(reply));
      this.#send({
        text: `${primary} -> ${from}: ${this.#textOf(form)}`,
        arrive: () => done(form),
        giveUp: () => done({ req_type: "error", code: "timeout", message: "lost" }),
      });
    });
  }

  async #deliver(count: string): Promise<void> {
    for (let left = count === "all" ? Infinity : Number(count || 1); left > 0; left--) {
      const parcel = this.#parcels.shift();
      if (parcel === undefined) return;
      parcel.arrive();
      await this.#cluster.run(STEP_MS);
    }
  }

  #show(key: string): void {
    const partition = partitionOf(key, PARTITIONS);
    const { primary = "" } = this.#cluster.config(partition);
    const replica = this.#cluster.node(primary).partition(partition);
    const entry = replica?.store.get(key);
    const value = entry === undefined || isTombstone(entry)
      ? "none"
      : `${new TextDecoder().decode(entry.value)}, version ${entry.version ?? entry.seq}`;
    const intents = [...replica?.intents.intents.values() ?? []].map(({ attempt, keys }) =>
      `${this.#nameOf(attempt)} holds ${keys.join(" ")}`
    );
    const decisions = [...replica?.intents.decisions.keys() ?? []].map((attempt) =>
      `${this.#nameOf(attempt)} has happened`
    );
    this.#lines.push([`${primary}: ${key}: ${value}`, ...intents, ...decisions].join("; "));
  }

  /** Attempts are numbered in the order in which they come up. */
  #nameOf(attempt: string): string {
    if (!this.#attempts.includes(attempt)) this.#attempts.push(attempt);
    return `attempt ${this.#attempts.indexOf(attempt) + 1}`;
  }

  #orderText(request: PartRequest): string {
    const attempt = "attempt" in request ? ` ${this.#nameOf(request.attempt)}` : "";
    const commit = request.req_type !== "finish_part"
      ? ""
      : request.commit === undefined
      ? ", abort"
      : `, commit intent ${request.commit}`;
    const wait = "wait" in request && request.wait === true ? ", wait" : "";
    return `${request.req_type} ${request.key}${attempt}${commit}${wait}`;
  }

  #textOf(reply: Reply): string {
    const form = wireForm(reply);
    switch (form.req_type) {
      case "error":
        return form.settled === true ? `${form.code}, settled` : form.code;
      case "data":
        return `data ${form.message}, version ${form.version}`;
      case "ack":
        return `ack${form.version === undefined ? "" : `, version ${form.version}`}`;
      case "result":
        return Array.isArray(form.result)
          ? (form.result as readonly object[]).map((one) => this.#partText(one)).join("; ")
          : `result ${form.result}`;
      default:
        return form.req_type;
    }
  }

  #partText(one: object): string {
    if (!("state" in one)) return this.#textOf(one as Reply);
    const { state, ...rest } = one;
    const more = Object.entries(rest).map(([name, value]) => ` ${name} ${value}`);
    return `${state}${more.join(",")}`;
  }
}
