/**
 * The commands of `replication/*.txt`: the replicas of one partition on a few nodes, whose messages, disks
 * and time move by command alone.
 *
 * @module
 */
import type { PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import type { KeyRequest } from "../../shared/wire/messages.ts";
import { ScenarioWorld } from "../support/worlds/scenario_world.ts";
import type { Stage } from "./scenario.ts";

/** The commands, and what they do. `A` and `B` are nodes. */
export const COMMANDS: Readonly<Record<string, string>> = {
  "start A…": "starts nodes: new ones, or those that were killed, on what their disks hold",
  "kill A": "kill -9: what is not synced is lost",
  "config TERM PRIMARY of IN-SYNC [learners L] [min-in-sync N] [replicas N] [forced TERM] [to A,B | to nobody]":
    "the coordinator's new configuration, as all nodes that run hear of it, or those that are named; " +
    "replicas: how many there are to be, by default more than there are; forced: the last term that an operator began",
  "hear A…": "nodes hear of the newest configuration",
  "vouch A":
    "a node that was started again goes by the newest configuration as by the map that it has kept",
  "A put KEY VALUE [FIELD=VALUE…], A get KEY, A delete KEY, …": "a client's request",
  "A drain B": "the coordinator asks primary A to hand over to B",
  "lease A on|off": "whether A may answer reads without asking anybody; at first it may",
  "deliver [A B] [N]":
    "delivers N messages, or all and what comes of them: from A to B, or between all nodes",
  "quiet": "all is delivered and synced, until nothing moves; what comes of it is not told",
  "lose A B [N]": "the oldest N messages from A to B are lost, by default one",
  "cut A B, heal A B": "what A sends to B waits; and comes on",
  "reconnect A B": "the connections between two nodes break, and are made anew",
  "sync A": "A's disk finishes all that it was given",
  "fail A": "A's disk refuses the oldest batch",
  "journal A [N]": "A's disk tells what was written, from its last N batches or from all",
  "flip A KEY": "a bit of the key's row on A's disk is flipped",
  "pieces ROWS": "a piece of a transfer has at most so many entries from now on",
  "wait MS": "time passes",
  "show A": "what A holds, and where it stands",
};

/** The stage of a new scenario. */
export function replicationStage(): Stage {
  const world = new ScenarioWorld();
  return {
    carryOut: (command) => carryOut(world, command),
    takeLines: () => world.takeLines(),
  };
}

async function carryOut(world: ScenarioWorld, command: string): Promise<void> {
  const words = command.split(" ");
  const [name = "", ...rest] = words;
  const [a = "", b = ""] = rest;
  switch (name) {
    case "start":
      return await world.start(rest);
    case "kill":
      return await world.kill(a);
    case "config":
      return await configure(world, rest);
    case "hear":
      return await world.hear(rest);
    case "vouch":
      return await world.vouch(a);
    case "lease":
      return world.setLease(a, b === "on");
    case "deliver": {
      const count = Number(rest.at(-1));
      const [from, to] = Number.isNaN(count) ? rest : rest.slice(0, -1);
      return await world.deliver(from, to, Number.isNaN(count) ? undefined : count);
    }
    case "quiet":
      await world.quiet();
      world.takeLines();
      return;
    case "lose":
      return world.lose(a, b, Number(rest[2] ?? 1));
    case "cut":
      return world.cut(a, b);
    case "heal":
      return world.heal(a, b);
    case "reconnect":
      return await world.reconnect(a, b);
    case "sync":
      return await world.sync(a);
    case "fail":
      return await world.failWrite(a);
    case "journal":
      return world.keepJournal(a, b === "" ? Infinity : Number(b));
    case "flip":
      return world.flip(a, b);
    case "pieces":
      return world.setPieceRows(Number(a));
    case "wait":
      return await world.wait(Number(a));
    case "show":
      return await world.show(a);
  }
  if (a === "drain") return await world.drain(name, b);
  await world.ask(name, requestOf(rest));
}

/** `2 n1 of n1,n2 learners n3 min-in-sync 2 sessions 3 to n1` */
async function configure(world: ScenarioWorld, words: readonly string[]): Promise<void> {
  const [term, primary = "nobody"] = words;
  const list = (name: string) => {
    const at = words.indexOf(name);
    return at === -1 ? undefined : words[at + 1]?.split(",") ?? [];
  };
  const config: { -readonly [name in keyof PartitionConfig]: PartitionConfig[name] } = {
    term: Number(term),
    primary: primary === "nobody" ? undefined : primary,
    inSync: list("of") ?? [],
    learners: list("learners") ?? [],
  };
  const forced = list("forced")?.[0];
  if (forced !== undefined) config.forcedTerm = Number(forced);
  const to = list("to");
  await world.configure(config, {
    minInSync: Number(list("min-in-sync")?.[0] ?? 1),
    replicas: Number(list("replicas")?.[0] ?? Infinity),
    clientSessionsMax: Number(list("sessions")?.[0] ?? 64),
    to: to?.[0] === "nobody" ? [] : to,
  });
}

/** `put a 1 acks=primary` */
function requestOf(words: readonly string[]): KeyRequest {
  const [req_type, key, ...rest] = words;
  const fields: Record<string, unknown> = {};
  for (const word of rest) {
    const at = word.indexOf("=");
    if (at === -1) fields.value = word;
    else fields[word.slice(0, at)] = fieldOf(word.slice(at + 1));
  }
  return { req_type, key, ...fields } as unknown as KeyRequest;
}

function fieldOf(text: string): unknown {
  if (/^-?\d+$/.test(text)) return Number(text);
  if (text === "true" || text === "false") return text === "true";
  return text.startsWith("[") ? JSON.parse(text) : text;
}
