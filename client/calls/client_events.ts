/**
 * What happens to a client's connections, for programs that want to show or log it. Each reader has a queue of its own.
 *
 * Invariant: a reader that is slow costs a bounded amount of memory, and is told how many events it has missed.
 *
 * @module
 */
import { KvError, messageOf } from "../../shared/base/errors.ts";
import { CLIENT_EVENTS_MAX } from "../../shared/limits/client.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { NodeConnectionHandlers } from "../../shared/routing/node_pool.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";

/** One event. `node` is a node's id; `address` is `host:port`. */
export type ClientEvent =
  | { readonly type: "connected"; readonly node: NodeId; readonly address: string }
  | {
    readonly type: "disconnected";
    readonly node: NodeId;
    readonly address: string;
    /** Why, if it was not on purpose. */
    readonly reason?: KvError;
  }
  /** An attempt begins, after the connection has ended or an attempt has failed. */
  | { readonly type: "reconnecting"; readonly node: NodeId; readonly address: string }
  /** Nodes, their states, or which node holds what. */
  | { readonly type: "map_changed"; readonly epoch: number }
  /** This reader was too slow: the number of events that were dropped before the next one. */
  | { readonly type: "missed"; readonly count: number };

/** What the connections tell. */
export type EventListener = (event: ClientEvent) => void;

class Reader implements AsyncIterableIterator<ClientEvent> {
  readonly #onEnd: (reader: Reader) => void;
  readonly #queue: ClientEvent[] = [];
  #missed = 0;
  #wake: (() => void)[] = [];
  #ended = false;

  constructor(onEnd: (reader: Reader) => void) {
    this.#onEnd = onEnd;
  }

  add(event: ClientEvent): void {
    if (this.#queue.length === CLIENT_EVENTS_MAX) {
      this.#queue.shift();
      this.#missed++;
    }
    this.#queue.push(event);
    this.#tell();
  }

  /** No more come; what is queued is still read. */
  end(): void {
    this.#ended = true;
    this.#tell();
  }

  async next(): Promise<IteratorResult<ClientEvent, undefined>> {
    for (;;) {
      const value = this.#take();
      if (value !== undefined) return { done: false, value };
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Whoever leaves the loop wants no more. */
  return(): Promise<IteratorResult<ClientEvent, undefined>> {
    this.#queue.length = 0;
    this.#missed = 0;
    this.end();
    this.#onEnd(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): ClientEvent | undefined {
    if (this.#missed === 0) return this.#queue.shift();
    const count = this.#missed;
    this.#missed = 0;
    return { type: "missed", count };
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const then of wake) then();
  }
}

function place(node: NodeId, address: Address): { node: NodeId; address: string } {
  return { node, address: formatAddress(address) };
}

function asKvError(reason: Error): KvError {
  if (reason instanceof KvError) return reason;
  return new KvError("unavailable", messageOf(reason), { cause: reason });
}

/** Passes events on to all who read them. */
export class ClientEvents implements NodeConnectionHandlers {
  readonly #readers = new Set<Reader>();
  readonly #listener: EventListener | undefined;
  /** Nodes to which there is or was an attempt to connect. */
  readonly #tried = new Set<NodeId>();
  #closed = false;

  /** @param listener is told of each event at once */
  constructor(listener?: EventListener) {
    this.#listener = listener;
  }

  onConnecting(node: NodeId, address: Address): void {
    if (this.#tried.has(node)) this.#emit({ type: "reconnecting", ...place(node, address) });
    this.#tried.add(node);
  }

  onConnected(node: NodeId, address: Address): void {
    this.#emit({ type: "connected", ...place(node, address) });
  }

  onDisconnected(node: NodeId, address: Address, reason: Error | undefined): void {
    const why = reason === undefined ? {} : { reason: asKvError(reason) };
    this.#emit({ type: "disconnected", ...place(node, address), ...why });
  }

  /** The nodes of the newest map are those that are told of again. */
  onMap(epoch: number, nodes: ReadonlySet<NodeId>): void {
    for (const node of this.#tried) if (!nodes.has(node)) this.#tried.delete(node);
    this.#emit({ type: "map_changed", epoch });
  }

  #emit(event: ClientEvent): void {
    this.#listener?.(event);
    for (const reader of this.#readers) reader.add(event);
  }

  /** Events from now on, until {@linkcode close} or until the reader's loop is left. */
  read(): AsyncIterableIterator<ClientEvent> {
    const reader = new Reader((ended) => this.#readers.delete(ended));
    if (this.#closed) reader.end();
    else this.#readers.add(reader);
    return reader;
  }

  /** Ends all readers, after what is queued. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }
}
