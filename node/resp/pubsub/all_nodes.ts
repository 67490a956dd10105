/**
 * Publishing to, and asking about, the subscribers of all nodes. The others are asked by the wire's `pubsub`; a node
 * that does not answer in time counts as one without subscribers.
 *
 * @module
 */
import { PUBSUB_ANSWER_MS_MAX } from "../../../shared/limits/resp.ts";
import { decodeValue, encodeValue } from "../../../shared/schema/value_codec.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import type { CommandPubSub, PubSubCounts, RespNode } from "../command/command.ts";
import { Subscriptions } from "./subscriptions.ts";

/** The subscribers of the cluster, as this node reaches them. */
export class AllNodes implements CommandPubSub {
  readonly local = new Subscriptions();
  readonly #node: Pick<RespNode, "askOthers">;

  constructor(node: Pick<RespNode, "askOthers">) {
    this.#node = node;
  }

  /** Tells this node's subscribers now, and the others' soon. @param done is called once with how many got it, later */
  publish(
    kind: "channel" | "shard",
    channel: string,
    message: Uint8Array,
    done: (receivers: number) => void,
  ): void {
    const here = this.local.deliver(kind, channel, message);
    this.publishElsewhere(kind, channel, message, (receivers) => done(here + receivers));
  }

  /** As {@linkcode publish}, without this node's own subscribers. */
  publishElsewhere(
    kind: "channel" | "shard",
    channel: string,
    message: Uint8Array,
    done: (receivers: number) => void,
  ): void {
    const request: Message<"pubsub"> = {
      req_type: "pubsub",
      op: "publish",
      shard: kind === "shard",
      channels: [channel],
      ...encodeValue(message),
    };
    this.#node.askOthers(request, PUBSUB_ANSWER_MS_MAX, (replies) => {
      done(replies.reduce((sum, reply) => sum + (countsOf(reply)?.receivers ?? 0), 0));
    });
  }

  /** @param done is called once, later */
  counts(
    kind: "channel" | "shard",
    asked: { readonly channels?: readonly string[]; readonly pattern?: string | undefined },
    done: (counts: PubSubCounts) => void,
  ): void {
    const request: Message<"pubsub"> = {
      req_type: "pubsub",
      op: asked.channels === undefined ? "channels" : "numsub",
      shard: kind === "shard",
      ...(asked.channels === undefined ? {} : { channels: asked.channels }),
      ...(asked.pattern === undefined ? {} : { pattern: asked.pattern }),
    };
    const channels = new Set<string>();
    const patterns = new Set<string>();
    const subscribers: number[] = [];
    const add = (counts: PubSubCounts) => {
      for (const channel of counts.channels) channels.add(channel);
      for (const pattern of counts.patterns) patterns.add(pattern);
      counts.subscribers.forEach((count, i) => subscribers[i] = (subscribers[i] ?? 0) + count);
    };
    add(this.serve(request));
    this.#node.askOthers(request, PUBSUB_ANSWER_MS_MAX, (replies) => {
      for (const reply of replies) {
        const counts = countsOf(reply);
        if (counts !== undefined) add(counts);
      }
      done({ ...NONE, channels: [...channels].sort(), patterns: [...patterns], subscribers });
    });
  }

  /** Answers another node. @throws {KvError} `bad_request` */
  serve(request: Message<"pubsub">): PubSubCounts {
    const kind = request.shard === true ? "shard" : "channel";
    const { local } = this;
    const [channel = ""] = request.channels ?? [];
    switch (request.op) {
      case "publish": {
        const receivers = local.deliver(kind, channel, decodeValue(request) ?? new Uint8Array());
        return { ...NONE, receivers };
      }
      case "channels": {
        const channels = local.channels(kind, request.pattern ?? undefined);
        return { ...NONE, channels, patterns: local.patterns };
      }
      case "numsub": {
        const asked = request.channels ?? [];
        return { ...NONE, subscribers: asked.map((name) => local.subscribers(kind, name)) };
      }
    }
  }
}

const NONE: PubSubCounts = { receivers: 0, channels: [], subscribers: [], patterns: [] };

function countsOf(reply: Reply): PubSubCounts | undefined {
  return reply.req_type === "result" ? reply.result as PubSubCounts : undefined;
}
