/**
 * A cluster in one object, for tests of the client: a router that answers from a map in memory, and
 * fails on demand. It has no network, no time and no replication.
 *
 * @module
 */
import { wireForm } from "../../../shared/wire/wire_form.ts";
import type { KeyRouter } from "../../../client/calls/call.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { TOMBSTONE } from "../../../shared/base/entry.ts";
import { toErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError, toKvError } from "../../../shared/base/errors.ts";
import { VALUE_BYTES_MAX } from "../../../shared/limits/wire.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import { resultReply, writeReply } from "../../../shared/operations/operation.ts";
import { operationOf } from "../../../shared/arguments/request_words.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { PartitionSet } from "../../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { checkTransaction, plainRequests } from "../../../shared/validation/transaction_checks.ts";
import { toWireEntry } from "../../../shared/schema/value_codec.ts";

/** The date at all times. */
const NOW_MS = 1_000;
const PARTITIONS = 8;
const NODES = ["00000000000000a1", "00000000000000a2"];

/** A map of two nodes and eight partitions, all in sync. */
export function fakeMap(): ClusterMap {
  return {
    epoch: 3,
    settings: {
      clusterId: "c",
      clusterName: "test",
      partitionCount: PARTITIONS,
      replicationFactor: 2,
      minInSync: 1,
      leaseMs: 1_500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2_500,
    },
    nodes: NODES.map((id, i) => ({
      id,
      host: "127.0.0.1",
      port: 8081 + i,
      httpPort: 9081 + i,
      zone: `zone-${i}`,
      weight: 1,
      incarnation: 1,
      state: "up" as const,
    })),
    partitions: Array.from({ length: PARTITIONS }, (_, p) => {
      const order = p % 2 === 0 ? NODES : NODES.toReversed();
      return { term: 1, primary: order[0], inSync: order, learners: [] };
    }),
  };
}

/** The router of a cluster that is a `Map`. */
export class FakeCluster implements KeyRouter {
  readonly values = new Map<
    string,
    { value: Uint8Array; version: number; expiresAtMs?: number; contentType?: string | undefined }
  >();
  /** Every key request, in order. */
  readonly requests: KeyRequest[] = [];
  /** If it gives a reply, the request does not happen, and that is the answer. */
  fault: ((request: KeyRequest | Message<"scan_node">) => Reply | undefined) | undefined;
  /** While set, key requests are not answered; call them to answer. */
  held: (() => void)[] | undefined;
  cancelled = 0;
  closed = false;
  refreshes = 0;
  /** Rows of a page of a scan. */
  pageRows = 3;
  readonly #map = fakeMap();
  #version = 0;

  map(): ClusterMap {
    return this.#map;
  }

  refresh(): Promise<ClusterMap> {
    this.refreshes++;
    return Promise.resolve(this.#map);
  }

  execute(request: KeyRequest, _timeoutMs: number, done: (reply: Reply) => void): () => void {
    const sent = wireForm(request);
    this.requests.push(sent);
    const answer = () => done(this.fault?.(sent) ?? this.apply(sent));
    if (this.held !== undefined) this.held.push(answer);
    else queueMicrotask(answer);
    return () => {
      this.cancelled++;
    };
  }

  request(node: string, message: object, _timeoutMs: number, done: (reply: Reply) => void): void {
    const request = message as Message<"scan_node" | "stats" | "ping">;
    queueMicrotask(() => {
      if (request.req_type === "stats") done({ req_type: "result", result: { node, writes: 7 } });
      else if (request.req_type === "ping") done({ req_type: "ack", message: "pong" });
      else done(this.fault?.(request) ?? this.#scan(request));
    });
  }

  close(): void {
    this.closed = true;
  }

  /** Carries out a request, by the table of operations. */
  apply(request: KeyRequest): Reply {
    if (request.req_type === "transaction") return this.#applyAll(request);
    const found = this.values.get(request.key);
    const entry = found === undefined ? undefined : {
      key: request.key,
      seq: found.version,
      term: 1,
      flags: 0,
      timestampMs: NOW_MS,
      expiresAtMs: found.expiresAtMs ?? 0,
      value: found.value,
      contentType: found.contentType,
    };
    const operation = operationOf(request.req_type);
    try {
      if (operation.kind === "read") return operation.read(request, entry, NOW_MS);
      if (operation.kind !== "write") throw new KvError("internal", "not in this fake");
      const current = operation.needsCurrent(request) ? entry : undefined;
      const context = { wallMs: NOW_MS, valueBytesMax: VALUE_BYTES_MAX };
      const outcome = operation.evaluate(request, current, context);
      if ("answer" in outcome) return outcome.answer;
      const version = ++this.#version;
      const { flags, ...write } = outcome.write;
      if (flags === TOMBSTONE) this.values.delete(request.key);
      else this.values.set(request.key, { ...write, version });
      return outcome.reply?.(version) ?? writeReply(version);
    } catch (error) {
      return toErrorReply(toKvError(error));
    }
  }

  /** Versions are not compared; everything else is as in the real one. */
  #applyAll(request: Message<"transaction">): Reply {
    try {
      checkTransaction(request);
    } catch (error) {
      return toErrorReply(toKvError(error));
    }
    return resultReply(plainRequests(request).map((step) => this.apply(step)));
  }

  #scan({ partitions = "", after }: Message<"scan_node">): Reply {
    const asked = PartitionSet.fromText(partitions, PARTITIONS);
    const keys = [...this.values.keys()]
      .filter((key) => asked.has(partitionOf(key, PARTITIONS)))
      .filter((key) => after === undefined || compareKeys(key, after) > 0)
      .sort(compareKeys);
    const page = keys.slice(0, this.pageRows);
    const entries = page.map((key) => {
      const { value = new Uint8Array(0), version = 1, contentType } = this.values.get(key) ?? {};
      const times = { timestampMs: 1_000, expiresAtMs: 0 };
      return toWireEntry({ key, seq: version, term: 1, flags: 0, ...times, value, contentType });
    });
    const next = keys.length > page.length ? page.at(-1) : undefined;
    return { req_type: "entries", entries, partitions, ...(next === undefined ? {} : { next }) };
  }
}
