/**
 * Who has subscribed to what, at this node.
 *
 * Invariants: a connection gets a message once for each of its subscriptions that matches; what all of them take
 * together is bounded; a connection that has ended has no subscriptions.
 *
 * @module
 */
import {
  RESP_CHANNEL_BYTES_MAX,
  RESP_SUBSCRIPTION_OVERHEAD_BYTES,
  RESP_SUBSCRIPTIONS_BYTES_MAX,
} from "../../../shared/limits/resp.ts";
import {
  type ChannelKind,
  CommandError,
  type CommandSubscriptions,
  type Subscriber,
} from "../command/command.ts";
import { Glob } from "../command/glob.ts";
import type { RespWriter } from "../protocol/writer.ts";

const encoder = new TextEncoder();

/** A channel or pattern, and who has subscribed to it. */
interface Topic {
  readonly name: string;
  /** Of a pattern. */
  readonly glob: Glob | undefined;
  readonly subscribers: Set<Subscriber>;
}

/** What one connection has subscribed to. */
type Own = Readonly<Record<ChannelKind, Set<string>>>;

/** See the top of this file. */
export class Subscriptions implements CommandSubscriptions {
  readonly #topics: Readonly<Record<ChannelKind, Map<string, Topic>>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  readonly #own = new Map<Subscriber, Own>();
  #bytes = 0;

  /** @throws {CommandError} if there are too many, or the name is too long */
  add(subscriber: Subscriber, kind: ChannelKind, name: string): void {
    const own = this.#own.get(subscriber);
    if (own?.[kind].has(name)) return;
    const bytes = costOf(name);
    if (encoder.encode(name).length > RESP_CHANNEL_BYTES_MAX) {
      throw new CommandError(`ERR a channel has at most ${RESP_CHANNEL_BYTES_MAX} bytes`);
    }
    if (this.#bytes + bytes > RESP_SUBSCRIPTIONS_BYTES_MAX) {
      throw new CommandError("ERR too many subscriptions at this node; use fewer, or a pattern");
    }
    this.#bytes += bytes;
    const topics = this.#topics[kind];
    let topic = topics.get(name);
    if (topic === undefined) {
      const glob = kind === "pattern" ? new Glob(encoder.encode(name)) : undefined;
      topics.set(name, topic = { name, glob, subscribers: new Set() });
    }
    topic.subscribers.add(subscriber);
    const all = own ?? { channel: new Set(), pattern: new Set(), shard: new Set() };
    all[kind].add(name);
    if (own === undefined) this.#own.set(subscriber, all);
  }

  remove(subscriber: Subscriber, kind: ChannelKind, name: string): void {
    const own = this.#own.get(subscriber);
    if (own === undefined || !own[kind].delete(name)) return;
    this.#bytes -= costOf(name);
    const topics = this.#topics[kind];
    const topic = topics.get(name);
    topic?.subscribers.delete(subscriber);
    if (topic?.subscribers.size === 0) topics.delete(name);
    if (own.channel.size + own.pattern.size + own.shard.size === 0) this.#own.delete(subscriber);
  }

  /** The connection has ended, or wants nothing any more. */
  forget(subscriber: Subscriber): void {
    for (const kind of ["channel", "pattern", "shard"] as const) {
      for (const name of this.names(subscriber, kind)) this.remove(subscriber, kind, name);
    }
  }

  names(subscriber: Subscriber, kind: ChannelKind): string[] {
    return [...this.#own.get(subscriber)?.[kind] ?? []];
  }

  /** As the answers to SUBSCRIBE count: channels and patterns together, or shard channels. */
  count(subscriber: Subscriber, kind: ChannelKind): number {
    const own = this.#own.get(subscriber);
    if (own === undefined) return 0;
    return kind === "shard" ? own.shard.size : own.channel.size + own.pattern.size;
  }

  has(subscriber: Subscriber): boolean {
    return this.#own.has(subscriber);
  }

  /** @returns how many subscriptions got it */
  deliver(kind: "channel" | "shard", channel: string, message: Uint8Array): number {
    let receivers = 0;
    const name = kind === "shard" ? "smessage" : "message";
    for (const subscriber of this.#topics[kind].get(channel)?.subscribers ?? []) {
      if (!subscriber.mayHear(channel)) continue;
      receivers++;
      subscriber.push((out) => writeMessage(out, [name, channel], message));
    }
    if (kind === "shard") return receivers;
    const bytes = encoder.encode(channel);
    for (const { name: pattern, glob, subscribers } of this.#topics.pattern.values()) {
      if (glob?.matches(bytes) !== true) continue;
      for (const subscriber of subscribers) {
        if (!subscriber.mayHear(channel)) continue;
        receivers++;
        subscriber.push((out) => writeMessage(out, ["pmessage", pattern, channel], message));
      }
    }
    return receivers;
  }

  /** Channels that somebody has subscribed to. */
  channels(kind: "channel" | "shard", pattern: string | undefined): string[] {
    const glob = pattern === undefined ? undefined : new Glob(encoder.encode(pattern));
    const names = [...this.#topics[kind].keys()];
    return glob === undefined ? names : names.filter((name) => glob.matches(encoder.encode(name)));
  }

  /** Connections that have subscribed to a channel. */
  subscribers(kind: "channel" | "shard", channel: string): number {
    return this.#topics[kind].get(channel)?.subscribers.size ?? 0;
  }

  /** Patterns that somebody has subscribed to. */
  get patterns(): string[] {
    return [...this.#topics.pattern.keys()];
  }
}

function costOf(name: string): number {
  return RESP_SUBSCRIPTION_OVERHEAD_BYTES + 2 * name.length;
}

function writeMessage(out: RespWriter, texts: readonly string[], message: Uint8Array): void {
  out.push(texts.length + 1);
  for (const text of texts) out.bulkText(text);
  out.bulk(message);
}
