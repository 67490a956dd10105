/**
 * Answers the questions of nodes and clients that look for a coordinator (`shared/discovery/discovery.ts`), by
 * UDP broadcast and multicast. It believes nothing, and keeps nothing but who was answered lately.
 *
 * Invariants: an answer is never longer than its question, and answers are bounded in number, so that
 * nobody can make a flood for somebody else out of them; if there is a secret, a question that is
 * not signed with it gets none.
 *
 * @module
 */
import { type Clock, setPeriodic, type Timer } from "../../shared/platform/clock.ts";
import {
  decodePacket,
  encodePacket,
  encodeSignedAnswer,
} from "../../shared/discovery/discovery_packet.ts";
import type { MemberIdentity } from "../../shared/platform/member_identity.ts";
import { DISCOVERY_GROUP, type DiscoveryMode } from "../../shared/discovery/discovery_settings.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { DISCOVERY_JOIN_MS, NONCE_CHARACTERS_MAX } from "../../shared/limits/membership.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Message } from "../../shared/wire/messages.ts";
import {
  isLoopback,
  isOnNetwork,
  isWildcard,
  type NetworkInterface,
} from "../../shared/platform/network_interface.ts";
import type { Address, DatagramSocket, Transport } from "../../shared/platform/transport.ts";
import { AnswerRate } from "./answer_rate.ts";

/** The world, as the responder sees it. */
export interface DiscoveryResponderDeps {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly log: Logger;
}

/** What it is told. */
export interface DiscoveryResponderOptions {
  readonly mode: Exclude<DiscoveryMode, "off">;
  /** 0 lets the system choose one. */
  readonly port: number;
  readonly secret?: string | undefined;
  /** Of a secured cluster: its certificate signs the answers. */
  readonly identity?: MemberIdentity | undefined;
  /** The cluster's id and name. */
  readonly cluster: string;
  readonly name: string;
  /** Tells this process from every other coordinator. */
  readonly instance: string;
  /** Where the coordinator listens. */
  readonly address: Address;
  /** The host by which others reach it, if it is not that of `address`. */
  readonly advertiseHost?: string | undefined;
  /** This machine's addresses; none if they cannot be known. */
  interfaces(): readonly NetworkInterface[];
}

/** The coordinator's end of discovery. */
export class DiscoveryResponder {
  readonly #deps: DiscoveryResponderDeps;
  readonly #options: DiscoveryResponderOptions;
  readonly #rate = new AnswerRate();
  readonly #joined = new Set<string>();
  #socket: DatagramSocket | undefined;
  #rejoining: Timer | undefined;

  private constructor(deps: DiscoveryResponderDeps, options: DiscoveryResponderOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /**
   * Begins to answer. If the port cannot be had, that is logged, and nothing else: discovery is
   * not needed for anything.
   */
  static async open(
    deps: DiscoveryResponderDeps,
    options: DiscoveryResponderOptions,
  ): Promise<DiscoveryResponder> {
    const responder = new DiscoveryResponder(deps, options);
    const at = { host: "0.0.0.0", port: options.port };
    try {
      responder.#socket = await deps.transport.bindDatagram(
        at,
        (packet, from) => responder.#onDatagram(packet, from),
        // Further coordinators of this machine hear the same questions.
        { shared: true },
      );
    } catch (error) {
      const reason = failureOf(error).message;
      deps.log.warn("not to be found by discovery", { port: options.port, reason });
      return responder;
    }
    if (options.mode !== "broadcast") {
      responder.#join();
      // A network that comes later, as one does while a machine starts.
      responder.#rejoining = setPeriodic(deps.clock, DISCOVERY_JOIN_MS, () => responder.#join());
    }
    return responder;
  }

  /** The real port; undefined if it could not be had. */
  get port(): number | undefined {
    return this.#socket?.address.port;
  }

  close(): void {
    this.#rejoining?.cancel();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #join(): void {
    const interfaces = this.#options.interfaces().map(({ address }) => address);
    for (const address of interfaces.length === 0 ? ["0.0.0.0"] : interfaces) {
      if (this.#joined.has(address)) continue;
      this.#joined.add(address);
      this.#socket?.join(DISCOVERY_GROUP, address, () => this.#joined.delete(address));
    }
    // A network that went may come back, and this socket is not a member of its group then.
    for (const address of this.#joined) {
      if (interfaces.length > 0 && !interfaces.includes(address)) this.#joined.delete(address);
    }
  }

  #onDatagram(packet: Uint8Array, from: Address): void {
    const { secret, identity, cluster, name, instance, address } = this.#options;
    const { clock } = this.#deps;
    const decoded = decodePacket(packet, { secret, nowMs: clock.wallMs() });
    if (decoded?.message.req_type !== "discover") return;
    const { message: question, signature } = decoded;
    if (secret !== undefined && signature !== "good") {
      this.#deps.log.debug("a question without our secret", { from: from.host });
      return;
    }
    if (question.nonce.length > NONCE_CHARACTERS_MAX) return;
    // JSON null stands for an absent field.
    if ((question.cluster ?? cluster) !== cluster || (question.name ?? name) !== name) return;
    const host = this.#hostFor(from.host);
    if (host === undefined) return;
    const answer: Message<"discovered"> = {
      req_type: "discovered",
      nonce: question.nonce,
      cluster,
      name,
      instance,
      host,
      port: address.port,
    };
    const plain = encodePacket(answer, identity === undefined ? secret : undefined);
    if (plain.length > packet.length) return;
    if (!this.#rate.allow(from.host, clock.monotonicMs())) return;
    // Not before: a signature costs more than a question.
    const bytes = identity === undefined ? plain : encodeSignedAnswer(answer, identity.current());
    if (bytes.length > packet.length) {
      this.#deps.log.debug("an answer with our certificate is longer than its question", {
        bytes: bytes.length,
      });
      return;
    }
    this.#socket?.send(bytes, from);
  }

  /**
   * By which of our addresses the asker reaches us: "" for the one that the answer comes from, and
   * undefined if it cannot.
   */
  #hostFor(asker: string): string | undefined {
    const { address, advertiseHost, interfaces } = this.#options;
    const host = advertiseHost ?? address.host;
    if (isWildcard(host)) {
      return interfaces().find((one) => isOnNetwork(one, asker))?.address ?? "";
    }
    // An address that only this machine can use is no help to another one.
    return isLoopback(host) && !isLoopback(asker) ? undefined : host;
  }
}
