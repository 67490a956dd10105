/**
 * The node that a client of Deno KV is sent to for data: another one than it has named. Deno's client asks one endpoint, and
 * asks where the database is only at the address that its program has named. So if data is at that address too, a program hangs
 * when that one node dies; if it is at another node, the program goes on when either dies: without the named one it
 * keeps to what it was told, and without the other one it is told another.
 *
 * Nobody is sent anywhere who has come by another address than the map has: a proxy, a tunnel or a name of its own may lead
 * to this node alone. Pure.
 *
 * @module
 */
import {
  type ClusterMap,
  findNode,
  type NodeInfo,
  partitionConfig,
} from "../cluster/cluster_map.ts";
import { keyPrefixOf } from "../cluster/databases.ts";
import { partitionOf } from "../cluster/position.ts";
import type { KvDatabase } from "./kv_database.ts";
import { ANY_KEY } from "./snapshot_read.ts";

/**
 * The node; undefined if the client has not named a node by its address, or if there is no other one. The primary of the
 * database's keys comes first, since it need not pass requests on; then whoever may become it.
 *
 * @param url the address that the client has asked
 */
export function otherNode(map: ClusterMap, database: KvDatabase, url: URL): NodeInfo | undefined {
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const named = map.nodes.find((node) =>
    node.host.toLowerCase() === host && node.httpPort === port
  );
  if (named === undefined) return undefined;
  const others = map.nodes.filter(({ id, state, httpPort }) =>
    id !== named.id && state === "up" && httpPort > 0
  );
  // Of one machine several workers may be nodes.
  const elsewhere = others.filter((node) => node.host !== named.host);
  const candidates = new Set(elsewhere.length > 0 ? elsewhere : others);
  const key = keyPrefixOf({ number: database.number, together: true }) + ANY_KEY;
  const { primary, inSync } = partitionConfig(
    map,
    partitionOf(key, map.settings.partitionCount),
  );
  const wanted = [primary, ...inSync].map((id) => findNode(map, id));
  return wanted.find((node) => node !== undefined && candidates.has(node)) ?? [...candidates][0];
}

/** The address of a database at a node, for who has come by `url`. */
export function addressAt({ host, httpPort }: NodeInfo, { name }: KvDatabase, url: URL): string {
  const authority = host.includes(":") ? `[${host}]` : host;
  return `${url.protocol}//${authority}:${httpPort}/db/${name}`;
}
