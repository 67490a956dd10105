/**
 * What the coordinators keep together, as one document of their register: the cluster, and in a secured cluster
 * its users, roles, tokens and certificates. Pure.
 *
 * @module
 */
import { applyDelta, type ClusterMapDelta, mapDelta } from "../../shared/cluster/cluster_map.ts";
import { isClusterMapDelta, isObject } from "../../shared/cluster/map_shape.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  parseSecurityDocument,
  type SecurityDocument,
} from "../../shared/security/security_document.ts";
import type { Differences } from "../register/register.ts";
import { parseStoredCluster, type StoredCluster } from "./stored_cluster.ts";

/** The document. */
export interface ClusterDocument {
  readonly cluster: StoredCluster;
  /** Of a secured cluster, with the authority's key. */
  readonly security: SecurityDocument | undefined;
}

/**
 * The document as it was read from a disk, or came from another coordinator.
 *
 * @throws {KvError} `wrong_version`, `corrupt`
 */
export function parseClusterDocument(value: unknown): ClusterDocument {
  if (!isObject(value)) throw new KvError("corrupt", "the cluster's document is not an object");
  const { cluster, security } = value;
  return {
    cluster: parseStoredCluster(cluster),
    security: security === undefined ? undefined : parseSecurityDocument(security),
  };
}

/** From one document to the next: of the map what has changed, the rest whole if it is another. */
interface Difference {
  readonly map: ClusterMapDelta;
  /** What of the stored cluster is not its map. */
  readonly rest?: Omit<StoredCluster, "map"> | undefined;
  readonly security?: SecurityDocument | undefined;
}

/** A difference is small even if the map is large: few partitions change at a time. */
export const CLUSTER_DIFFERENCES: Differences<ClusterDocument> = {
  between(base, next): Difference | undefined {
    const [from, to] = [base.cluster, next.cluster];
    // Settings change with a start only, and are in no difference of maps.
    if (!isSame(from.map.settings, to.map.settings)) return undefined;
    if (base.security !== undefined && next.security === undefined) return undefined;
    const { map: _, ...restBefore } = from;
    const { map: __, ...rest } = to;
    return {
      map: mapDelta(from.map, to.map),
      ...(isSame(restBefore, rest) ? {} : { rest }),
      ...(next.security === base.security ? {} : { security: next.security }),
    };
  },
  apply(base, value): ClusterDocument {
    if (!isObject(value) || !isClusterMapDelta(value.map)) throw notOfThis();
    const { map: delta, rest, security } = value as unknown as Difference;
    const map = applyDelta(base.cluster.map, delta);
    if (map === undefined) throw notOfThis();
    return parseClusterDocument({
      cluster: { ...base.cluster, ...rest, map },
      security: security ?? base.security,
    });
  },
};

function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function notOfThis(): KvError {
  return new KvError("bad_request", "it is no difference of the document that is here");
}
