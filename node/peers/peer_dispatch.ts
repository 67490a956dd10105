/**
 * Gives each message of another node to whom it concerns. Their types are told apart here and nowhere else. Messages of a
 * primary come over connections that it opened, those of a follower over links that this node opened; a message
 * that comes the other way never gets here. What a message means is for the replica to say.
 *
 * @module
 */
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import {
  type DownstreamMessage,
  goes,
  type Message,
  type UpstreamMessage,
} from "../../shared/wire/messages.ts";
import type { Replica } from "../replication/replica.ts";
import type { Upstream } from "../replication/replica_ports.ts";
import type { ReadConfirmations } from "../requests/read_confirmations.ts";
import { PACKED_FRAME, unpackMessage } from "./packed_line.ts";
import {
  APPEND_FRAME,
  APPENDED_FRAME,
  decodeAppend,
  decodeAppended,
} from "./replication_frames.ts";

/** What is here that messages may be for. */
export interface PeerTargets {
  /** The replica of a partition; undefined if there is none here. */
  readonly replica: (partition: number) => Replica | undefined;
  /**
   * The replica that a primary's message about one partition is for; undefined if there is none, and the
   * primary was told so if it has to be.
   *
   * @throws {KvError} `bad_request` for a partition that the cluster does not have
   */
  addressee(message: ToReplica, upstream: Upstream): Replica | undefined;
  readonly confirmations: Pick<ReadConfirmations, "onConfirmed">;
  /** For rows that have come. */
  readonly slab: ByteSlab;
}

/** A primary's message about one partition. */
export type ToReplica = Extract<DownstreamMessage, { readonly p: number }>;

/** A message of a primary. @throws {KvError} `bad_request`, to be told to it */
export function fromPrimary(
  message: DownstreamMessage,
  upstream: Upstream,
  targets: PeerTargets,
): void {
  switch (message.req_type) {
    case "append":
      for (const [partition, , stream, commitSeq, entries] of message.parts) {
        targets.replica(partition)?.follower.onAppend(stream, commitSeq, entries, upstream);
      }
      return;
    case "confirm":
      upstream.send({
        req_type: "confirmed",
        round: message.round,
        refused: refusedParts(message, upstream.node, targets),
      });
      return;
    case "resync_query":
    case "new_term":
      targets.addressee(message, upstream)?.onPrimaryClaim(message, upstream);
      return;
    case "resync_begin":
      targets.addressee(message, upstream)?.follower.onBegin(message, upstream);
      return;
    case "resync_chunk":
    case "resync_end":
      targets.addressee(message, upstream)?.follower.onResyncWork(message, upstream);
      return;
    case "digest":
      targets.addressee(message, upstream)?.follower.onDigest(message, upstream);
      return;
    default:
      message satisfies never;
  }
}

/**
 * A binary frame of a primary.
 *
 * @throws {KvError} `bad_request`, `corrupt`, to be told to it; then nothing of the frame was taken
 */
export function frameFromPrimary(
  frame: Uint8Array,
  upstream: Upstream,
  targets: PeerTargets,
): void {
  const kind = frame[1];
  if (kind === PACKED_FRAME) return fromPrimary(unpackDownstream(frame), upstream, targets);
  if (kind !== APPEND_FRAME) throw unknownKind(kind);
  for (const part of decodeAppend(frame, targets.slab)) {
    targets.replica(part.partition)?.follower.onRows(part, upstream);
  }
}

/** A binary frame of a follower. @throws {KvError} `bad_request` */
export function frameFromFollower(
  frame: Uint8Array,
  from: NodeId,
  { replica }: Pick<PeerTargets, "replica">,
): void {
  const kind = frame[1];
  if (kind !== APPENDED_FRAME) throw unknownKind(kind);
  decodeAppended(frame, (partition, stream, seq) => {
    replica(partition)?.primary?.stream(from)?.onAppended(stream, seq);
  });
}

function unpackDownstream(frame: Uint8Array): DownstreamMessage {
  const message = unpackMessage(frame);
  if (goes(message, "downstream")) return message;
  throw new KvError("bad_request", `${message.req_type}: not in a packed frame of a primary`);
}

function unknownKind(kind: number | undefined): KvError {
  return new KvError("bad_request", `a binary frame of kind ${kind} is not known here`);
}

/** The partitions whose primary the asking node is no more, as far as is known here. */
function refusedParts(
  { parts }: Message<"confirm">,
  from: NodeId,
  targets: PeerTargets,
): number[] {
  const refused: number[] = [];
  for (const [partition, term] of parts) {
    if (!(targets.replica(partition)?.confirms(from, term) ?? false)) refused.push(partition);
  }
  return refused;
}

/** A message of a follower. */
export function fromFollower(
  message: UpstreamMessage,
  from: NodeId,
  { replica, confirmations }: PeerTargets,
): void {
  switch (message.req_type) {
    case "appended":
      for (const [partition, , stream, seq] of message.acks) {
        replica(partition)?.primary?.stream(from)?.onAppended(stream, seq);
      }
      return;
    case "confirmed":
      confirmations.onConfirmed(message, from);
      return;
    case "resync_info":
      replica(message.p)?.primary?.stream(from)?.onInfo(message);
      return;
    case "resync_progress":
      replica(message.p)?.primary?.stream(from)?.onProgress(message);
      return;
    case "stream_refused":
      replica(message.p)?.primary?.stream(from)?.onRefused(message);
      return;
    case "digest_differs":
      replica(message.p)?.primary?.onDigestDiffers(message, from);
      return;
    default:
      message satisfies never;
  }
}
