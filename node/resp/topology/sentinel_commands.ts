/**
 * What clients in the sentinel mode of Redis ask. Each node is a sentinel, and names itself as the master, whatever the
 * name of it: a client that reaches a node has found one that serves everything. So after the death of its node a
 * client asks the next sentinel that it knows, and goes on there.
 *
 * @module
 */
import {
  type Arguments,
  type Call,
  command,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { at, textOf } from "../command/arguments.ts";
import type { RespWriter } from "../protocol/writer.ts";
import { type LiveNode, liveNodes, longId, mapOf } from "./live_nodes.ts";

function thisNode({ server }: Call): LiveNode {
  const found = liveNodes(server).find(({ isThis }) => isThis);
  if (found !== undefined) return found;
  // It is not in the map yet, and listens all the same.
  const { host = "", port = 0 } = server.node.address() ?? {};
  return { id: longId(server.node.nodeId), host, port, isThis: true, slots: [0, 0] };
}

function others({ server }: Call): LiveNode[] {
  return liveNodes(server).filter(({ isThis }) => !isThis);
}

/** Sentinels give everything as text. */
function writeTexts(out: RespWriter, fields: Readonly<Record<string, string | number>>): void {
  const entries = Object.entries(fields);
  out.map(entries.length);
  for (const [name, value] of entries) {
    out.bulkText(name);
    out.bulkText(String(value));
  }
}

function place({ id, host, port }: LiveNode) {
  return { ip: host, port, runid: id };
}

function writeMaster(name: string, call: Call): void {
  const count = others(call).length;
  writeTexts(call.out, {
    name,
    ...place(thisNode(call)),
    flags: "master",
    "link-pending-commands": 0,
    "link-refcount": 1,
    "last-ping-sent": 0,
    "last-ok-ping-reply": 0,
    "last-ping-reply": 0,
    "down-after-milliseconds": mapOf(call.server).settings.failureTimeoutMs,
    "role-reported": "master",
    "config-epoch": mapOf(call.server).epoch,
    "num-slaves": 0,
    "num-other-sentinels": count,
    quorum: 1,
    "failover-timeout": mapOf(call.server).settings.failureTimeoutMs,
    "parallel-syncs": 1,
  });
}

function sentinels(_args: Arguments, call: Call): void {
  const nodes = others(call);
  call.out.array(nodes.length);
  for (const node of nodes) {
    writeTexts(call.out, {
      name: node.id,
      ...place(node),
      flags: "sentinel",
      "last-ok-ping-reply": 0,
      "last-hello-message": 0,
      "voted-leader": "?",
      "voted-leader-epoch": 0,
    });
  }
}

const row = (
  name: string,
  arity: number,
  summary: string,
  run: (args: Arguments, call: Call) => void,
) =>
  command(`sentinel${name}`, arity, "loading stale", NO_KEYS, {
    group: "sentinel",
    since: "2.8.4",
    summary,
  }, { kind: "now", run });

/** No node is the replica of another to clients. */
const none = (_args: Arguments, { out }: Call) => out.array(0);

/** The rows. */
export const SENTINEL_COMMANDS: readonly CommandSpec[] = [
  {
    ...row("", -2, "A container for sentinel commands", (_args, { out }) => {
      out.error("ERR syntax error");
    }),
    subcommands: [
      row("|get-master-addr-by-name", 3, "This node, whatever the name", (_args, call) => {
        const { host, port } = thisNode(call);
        call.out.array(2);
        call.out.bulkText(host);
        call.out.bulkText(String(port));
      }),
      row("|masters", 2, "This node, under the cluster's name", (_args, call) => {
        call.out.array(1);
        writeMaster(mapOf(call.server).settings.clusterName, call);
      }),
      row(
        "|master",
        3,
        "This node, under the name that is asked for",
        (args, call) => writeMaster(textOf(at(args, 2)), call),
      ),
      row("|sentinels", 3, "The other nodes that are alive", sentinels),
      row("|replicas", 3, "None: each node serves everything", none),
      row("|slaves", 3, "None: each node serves everything", none),
      row(
        "|myid",
        2,
        "This node's id, as long as those of Redis",
        (_args, { out, server }) => out.bulkText(longId(server.node.nodeId)),
      ),
      row("|ckquorum", 3, "Whether clients can be served", (_args, call) => {
        const count = others(call).length + 1;
        call.out.simple(
          `OK ${count} usable Sentinels. Quorum and failover authorization can be reached`,
        );
      }),
    ],
  },
];
