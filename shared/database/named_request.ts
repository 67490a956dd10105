/**
 * Requests of the JSON wire that name their database, for servers: the same request with stored keys, and its reply with
 * the user's keys.
 *
 * @module
 */
import type { ClusterMap } from "../cluster/cluster_map.ts";
import { DEFAULT_DATABASE, demandDatabase, keyPrefixOf } from "../cluster/databases.ts";
import { OPERATIONS } from "../operations/table.ts";
import type { KeyRequest, Message, ReplyTo, Request } from "../wire/messages.ts";
import { storedBounds, storedRequest, storedSelection, userReply } from "./keyspace.ts";

type Ranged = Message<"scan" | "count" | "delete_matching">;

/** A request for a named database, with stored keys. */
export interface NamedRequest<R extends Request> {
  readonly request: R;
  /** @param reply takes the reply as the user is to have it */
  replyTo(reply: ReplyTo): ReplyTo;
}

/**
 * The request with stored keys; undefined if it is for `default` as it is.
 *
 * @throws {KvError} `no_database`, `bad_request`
 */
export function namedRequest<R extends Request>(
  request: R,
  map: ClusterMap | undefined,
): NamedRequest<R> | undefined {
  const { database: name } = request as { database?: unknown };
  if (typeof name !== "string") return undefined;
  const { req_type: type } = request;
  const isRanged = type === "scan" || type === "count" || type === "delete_matching";
  const isWatch = type === "watch";
  const isOfKey = Object.hasOwn(OPERATIONS, type) || type === "get_nodes_for_key";
  if (!isRanged && !isWatch && !isOfKey) return undefined;
  const { database: _, ...plain } = request as R & { database?: string };
  if (name === DEFAULT_DATABASE) {
    return { request: plain as unknown as R, replyTo: (reply) => reply };
  }
  const prefix = keyPrefixOf(demandDatabase(map?.databases, name));
  if (isWatch) {
    const { keys, prefixes } = plain as Message<"watch">;
    // Its events have the user's keys already.
    return {
      request: { ...plain, ...storedSelection({ keys, prefixes }, prefix) } as unknown as R,
      replyTo: (reply) => reply,
    };
  }
  if (isRanged) {
    const stored = storedBounds(plain as unknown as Ranged, prefix);
    const { after } = stored as { after?: string };
    return {
      request: {
        ...stored,
        ...(typeof after === "string" ? { after: prefix + after } : {}),
      } as unknown as R,
      replyTo: (reply) => (given) => reply(userReply(given)),
    };
  }
  const stored = type === "get_nodes_for_key"
    ? { ...plain, key: prefix + (request as Message<"get_nodes_for_key">).key }
    : storedRequest(plain as unknown as KeyRequest, prefix);
  return {
    request: stored as unknown as R,
    replyTo: (reply) => (given) => reply(userReply(given)),
  };
}
