/**
 * Whether a node may register: the form of what it says, the cluster it belongs to, and whether it is
 * the newest process of its data folder. A pure function.
 *
 * @module
 */
import type { ClusterSettings } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import { NAME_CHARACTERS_MAX, WEIGHT_MAX } from "../../shared/base/limits.ts";
import { isTerm, isUint } from "../../shared/cluster/map_shape.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { Member } from "../state/member.ts";

const NODE_ID = /^[0-9a-f]{16}$/;

/** Why the node may not register; undefined where it may. */
export function checkRegistration(
  message: Message<"register">,
  settings: ClusterSettings,
  known: Member | undefined,
): KvError | undefined {
  const malformed = whyMalformed(message, settings);
  if (malformed !== undefined) return new KvError("bad_request", `register: ${malformed}`);
  const { cluster_id: clusterId, incarnation, instance } = message;
  // JSON null stands for an absent field.
  if (typeof clusterId === "string" && clusterId !== settings.clusterId) {
    return new KvError(
      "wrong_cluster",
      `register: the node's data belongs to cluster ${clusterId}, this is cluster ` +
        `${settings.clusterId} (${settings.clusterName}); name its coordinator, or another folder`,
    );
  }
  const { cluster_name: name } = message;
  if (typeof clusterId !== "string" && typeof name === "string" && name !== settings.clusterName) {
    return new KvError(
      "wrong_cluster",
      `register: the node is to join a cluster named ${JSON.stringify(name)}, and this one is ` +
        `named ${JSON.stringify(settings.clusterName)}; name its coordinator, or start that`,
    );
  }
  if (known === undefined) return undefined;
  const newest = known.info.incarnation;
  const taken = incarnation === newest && known.instance !== undefined &&
    known.instance !== instance;
  if (incarnation >= newest && !taken) return undefined;
  return new KvError(
    "stale_incarnation",
    `register: node ${known.id} has already registered as run ${newest}, this is run ` +
      `${incarnation}: another process of the same data folder, or of a copy of it, is or was here`,
    { detail: { incarnation: newest } },
  );
}

function whyMalformed(
  message: Message<"register">,
  settings: ClusterSettings,
): string | undefined {
  const { node, instance, host, port, http_port: httpPort, zone, weight, held } = message;
  if (!NODE_ID.test(node)) return '"node" must be 16 hexadecimal digits';
  for (const [name, value] of Object.entries({ instance, host, zone })) {
    if (value === "" || value.length > NAME_CHARACTERS_MAX) {
      return `"${name}" must have 1 to ${NAME_CHARACTERS_MAX} characters`;
    }
  }
  if (port < 1 || port > 65_535) return '"port" must be from 1 to 65535';
  if (httpPort > 65_535) return '"http_port" must be from 0 to 65535';
  if (!(weight > 0 && weight <= WEIGHT_MAX)) {
    return `"weight" must be more than 0 and at most ${WEIGHT_MAX}`;
  }
  for (const replica of held as readonly unknown[]) {
    if (!isHeldReplica(replica, settings.partitionCount)) {
      return `"held" must list [partition, term, last seq, damaged], given ${
        JSON.stringify(replica)?.slice(0, 80)
      }`;
    }
  }
  return undefined;
}

function isHeldReplica(replica: unknown, partitionCount: number): boolean {
  if (!Array.isArray(replica)) return false;
  const [partition, term, lastSeq, damaged] = replica;
  return isUint(partition) && partition < partitionCount && isTerm(term) && isUint(lastSeq) &&
    (damaged === 0 || damaged === 1);
}
