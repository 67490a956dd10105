/**
 * What clients in the cluster mode of Redis ask: which nodes there are, and which slots each has. No client is ever
 * sent elsewhere by MOVED or ASK: a node that is asked for another's slot serves it all the same.
 *
 * @module
 */
import { at, keyOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import type { RespWriter } from "../protocol/writer.ts";
import { keySlot, SLOTS } from "./key_slot.ts";
import { type LiveNode, liveNodes, longId, mapOf } from "./live_nodes.ts";

/** Where Redis has its bus: other ports than ours, which clients do not use. */
const BUS_OFFSET = 10_000;

function slots(_args: Arguments, { out, server }: Call): void {
  const nodes = liveNodes(server);
  out.array(nodes.length);
  for (const { id, host, port, slots: [first, last] } of nodes) {
    out.array(3);
    out.integer(first);
    out.integer(last);
    out.array(4);
    out.bulkText(host);
    out.integer(port);
    out.bulkText(id);
    out.array(0);
  }
}

function shards(_args: Arguments, { out, server }: Call): void {
  const nodes = liveNodes(server);
  const port = server.access === undefined ? "port" : "tls-port";
  out.array(nodes.length);
  for (const node of nodes) {
    out.map(2);
    out.bulkText("slots");
    out.array(2);
    node.slots.forEach((slot) => out.integer(slot));
    out.bulkText("nodes");
    out.array(1);
    writeFields(out, [
      ["id", node.id],
      [port, node.port],
      ["ip", node.host],
      ["endpoint", node.host],
      ["role", "master"],
      ["replication-offset", 0],
      ["health", "online"],
    ]);
  }
}

function writeFields(
  out: RespWriter,
  fields: readonly (readonly [string, string | number])[],
): void {
  out.map(fields.length);
  for (const [name, value] of fields) {
    out.bulkText(name);
    if (typeof value === "number") out.integer(value);
    else out.bulkText(value);
  }
}

function nodeLine(
  { id, host, port, isThis, slots: [first, last] }: LiveNode,
  epoch: number,
): string {
  const flags = isThis ? "myself,master" : "master";
  return `${id} ${host}:${port}@${
    port + BUS_OFFSET
  } ${flags} - 0 0 ${epoch} connected ${first}-${last}\n`;
}

function nodes(_args: Arguments, { out, server }: Call): void {
  const { epoch } = mapOf(server);
  out.verbatim(liveNodes(server).map((node) => nodeLine(node, epoch)).join(""));
}

function info(_args: Arguments, { out, server }: Call): void {
  const { epoch, nodes: known } = mapOf(server);
  const { length: size } = liveNodes(server);
  const facts = {
    cluster_state: "ok",
    cluster_slots_assigned: SLOTS,
    cluster_slots_ok: SLOTS,
    cluster_slots_pfail: 0,
    cluster_slots_fail: 0,
    cluster_known_nodes: known.length,
    cluster_size: size,
    cluster_current_epoch: epoch,
    cluster_my_epoch: epoch,
  };
  out.verbatim(Object.entries(facts).map(([name, value]) => `${name}:${value}\r\n`).join(""));
}

/** No node is the replica of another to clients: each serves everything. */
function replicas(args: Arguments, { out, server }: Call): void {
  const id = keyOf(at(args, 2));
  if (!liveNodes(server).some((node) => node.id === id)) {
    throw new CommandError(`ERR Unknown node ${id}`);
  }
  out.array(0);
}

const about = (since: string, summary: string) => ({ group: "cluster", since, summary });
const row = (
  name: string,
  arity: number,
  since: string,
  summary: string,
  run: (args: Arguments, call: Call) => void,
) => command(name, arity, "loading stale", NO_KEYS, about(since, summary), { kind: "now", run });
/** What a client says that will be sent elsewhere, or reads elsewhere: there is nothing to do. */
const accepted = (name: string, since: string, summary: string) =>
  command(name, 1, "fast loading stale", NO_KEYS, about(since, summary), {
    kind: "now",
    run: (_args, { out }) => out.ok(),
  });

/** The rows. */
export const CLUSTER_COMMANDS: readonly CommandSpec[] = [
  {
    ...row("cluster", -2, "3.0.0", "A container for cluster commands", (_args, { out }) => {
      out.error("ERR syntax error");
    }),
    subcommands: [
      row("cluster|slots", 2, "3.0.0", "The slots of each node that is alive", slots),
      row("cluster|shards", 2, "7.0.0", "The slots of each node that is alive", shards),
      row("cluster|nodes", 2, "3.0.0", "The nodes that are alive, as lines", nodes),
      row(
        "cluster|info",
        2,
        "3.0.0",
        "The state of the cluster, for clients in cluster mode",
        info,
      ),
      row("cluster|replicas", 3, "5.0.0", "None: each node serves everything", replicas),
      row("cluster|slaves", 3, "3.0.0", "None: each node serves everything", replicas),
      row("cluster|links", 2, "7.0.0", "None that are Redis'", (_args, { out }) => out.array(0)),
      row(
        "cluster|myid",
        2,
        "3.0.0",
        "This node's id, as long as those of Redis",
        (_args, call) => call.out.bulkText(longId(call.server.node.nodeId)),
      ),
      row(
        "cluster|keyslot",
        3,
        "3.0.0",
        "The slot of a key",
        (args, { out }) => out.integer(keySlot(at(args, 2))),
      ),
    ],
  },
  accepted("readonly", "3.0.0", "Accepted: each node reads everything"),
  accepted("readwrite", "3.0.0", "Accepted: each node writes everything"),
  accepted("asking", "3.0.0", "Accepted: no slot is ever on its way"),
];
