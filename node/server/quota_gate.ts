/**
 * Where requests pass before their partition gets them, if a database of theirs has a quota (`database_quotas.ts`). What keys
 * have now is known of this node's partitions. A transaction may have keys of other nodes: they count as new ones at first,
 * since that costs nothing and is mostly small beside the room that is left; only if that is too much are the nodes that
 * have them asked. Who does not answer in time leaves its keys as new ones.
 *
 * @module
 */
import { isLive } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import {
  type DatabaseInfo,
  type DatabaseList,
  databaseNumberOf,
  isNamedKey,
} from "../../shared/cluster/databases.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { QUOTA_ASK_TIMEOUT_MS } from "../../shared/limits/cluster.ts";
import { headOf, repliesOf } from "../transactions/participant.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { KeyRequest, PartRequest, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { deadlineOf } from "../requests/waiting_requests.ts";
import { type DatabaseQuotas, growthOf, limitedBy, writtenKeys } from "./database_quotas.ts";

/** What it needs of the node. */
export interface QuotaGatePorts {
  nowMs(): number;
  wallMs(): number;
  partitionCount(): number;
  databases(): DatabaseList | undefined;
  /** The store of a partition that this node is primary of. */
  store(partition: number): PartitionStore | undefined;
  /** Sends a request to the primary of its key. */
  route(request: PartRequest, timeoutMs: number, done: ReplyTo): void;
}

/** The lengths of the values that keys of other nodes have now; of a key that is not there, undefined. */
type Lengths = ReadonlyMap<string, number | undefined>;

/** See the top of this file. */
export class QuotaGate {
  readonly #ports: QuotaGatePorts;
  readonly #quotas: DatabaseQuotas;

  constructor(ports: QuotaGatePorts, quotas: DatabaseQuotas) {
    this.#ports = ports;
    this.#quotas = quotas;
  }

  /** Whether there may be a quota for what a request writes. */
  concerns(request: KeyRequest): boolean {
    const databases = this.#ports.databases();
    return databases !== undefined &&
      (request.req_type === "transaction" || isNamedKey(request.key));
  }

  /** `then` goes on with the request, at once or later; or `reply` is told that it would exceed a quota. */
  pass(request: KeyRequest, reply: ReplyTo, then: () => void): void {
    const limited = limitedBy(request, this.#ports.databases());
    if (limited.length === 0) then();
    else this.#judge(request, limited, undefined, reply, then);
  }

  /** @param lengths undefined if the other nodes were not asked */
  #judge(
    request: KeyRequest,
    limited: readonly DatabaseInfo[],
    lengths: Lengths | undefined,
    reply: ReplyTo,
    then: () => void,
  ): void {
    const [database, ...rest] = limited;
    if (database === undefined) return then();
    const lengthOf = (key: string) => lengths?.has(key) ? lengths.get(key) : this.#ownLength(key);
    const growth = growthOf(request, database.number, lengthOf);
    this.#quotas.admit(database, growth, request.req_type, (refusal) => {
      if (refusal === undefined) return this.#judge(request, rest, lengths, reply, then);
      const foreign = lengths === undefined ? this.#foreignKeys(request, database) : new Map();
      if (foreign.size === 0) return reply(refusal);
      const timeoutMs = Math.min(
        QUOTA_ASK_TIMEOUT_MS,
        deadlineOf(request, this.#ports.nowMs()) - this.#ports.nowMs(),
      );
      this.#askLengths(foreign, timeoutMs, (told) => {
        this.#judge(request, limited, told, reply, then);
      });
    });
  }

  /** The length of a value that this node has; undefined also if it has not, or cannot be read. */
  #ownLength(key: string): number | undefined {
    const { store, partitionCount, wallMs } = this.#ports;
    try {
      const entry = store(partitionOf(key, partitionCount()))?.get(key);
      return entry !== undefined && isLive(entry, wallMs()) ? entry.value.length : undefined;
    } catch (error) {
      // The request meets it again, and is answered so.
      failureOf(error);
      return undefined;
    }
  }

  /** The keys of a database that a request writes and other nodes have, by partition. */
  #foreignKeys(request: KeyRequest, { number }: DatabaseInfo): Map<number, string[]> {
    const foreign = new Map<number, string[]>();
    for (const key of writtenKeys(request)) {
      const partition = partitionOf(key, this.#ports.partitionCount());
      if (databaseNumberOf(key) !== number || this.#ports.store(partition) !== undefined) continue;
      const keys = foreign.get(partition);
      if (keys === undefined) foreign.set(partition, [key]);
      else keys.push(key);
    }
    return foreign;
  }

  /** `done` gets what came of the answers, when all are there. */
  #askLengths(
    foreign: ReadonlyMap<number, readonly string[]>,
    timeoutMs: number,
    done: (lengths: Lengths) => void,
  ): void {
    const lengths = new Map<string, number | undefined>();
    let left = foreign.size;
    for (const keys of foreign.values()) {
      const [key = ""] = keys;
      const requests = keys.map((key) => ({ req_type: "inspect", key }) as const);
      this.#ports.route({ req_type: "read_part", key, requests }, timeoutMs, (reply) => {
        if (headOf(reply)?.state === "read") {
          for (const [i, told] of repliesOf(reply).entries()) {
            lengths.set(keys[i] ?? "", lengthOfReply(told));
          }
        }
        left--;
        if (left === 0) done(lengths);
      });
    }
  }
}

/** What an answer to `inspect` says. */
function lengthOfReply(reply: Reply): number | undefined {
  if (reply.req_type !== "result") return undefined;
  const { length } = reply.result as { readonly length?: unknown };
  return typeof length === "number" ? length : undefined;
}
