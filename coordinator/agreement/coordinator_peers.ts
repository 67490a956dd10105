/**
 * The other coordinators, as this one talks with them. A question goes over a connection that this coordinator opens;
 * its answer comes back over the same one. So nobody is called because a stranger has said that it is somewhere: the
 * addresses are those of the set, and those that the operator has named.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { MemberName } from "../../shared/platform/member_identity.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import { PeerServer } from "../../shared/server/peer_server.ts";
import type { Connection, ConnectionHandlers } from "../../shared/wire/connection.ts";
import { type AgreementMessage, goes } from "../../shared/wire/messages.ts";
import {
  formatEnvelope,
  type OwnCertificate,
  type ParseBody,
  parseCertificate,
  parseEnvelope,
} from "./envelope.ts";
import type { Envelope, Outgoing } from "../register/messages.ts";
import { CoordinatorLink, type CoordinatorLinkDeps } from "./coordinator_link.ts";
import { MessageParts, partsOf } from "./message_parts.ts";

/** What is given to whom. */
export interface CoordinatorPeersOptions<D> {
  readonly parseBody: ParseBody<D>;
  onEnvelope(envelope: Envelope<D>): void;
  /** This coordinator's certificate, while the list of all certificates lacks it. */
  unlisted(): OwnCertificate | undefined;
  /** Another coordinator has a certificate that was not in the list of all when it told. */
  onUnlisted(id: string, certificate: OwnCertificate): void;
}

/** All connections with other coordinators. */
export class CoordinatorPeers<D> {
  readonly #deps: CoordinatorLinkDeps;
  readonly #log: Logger;
  readonly #options: CoordinatorPeersOptions<D>;
  readonly #links = new Map<string, CoordinatorLink>();
  /** Over which connection each run asks. */
  readonly #askers = new Map<string, PeerServer<AgreementMessage>>();
  #closed = false;

  constructor(deps: CoordinatorLinkDeps, options: CoordinatorPeersOptions<D>) {
    this.#deps = deps;
    this.#log = deps.log;
    this.#options = options;
  }

  /** Sends a message, unless there is no way now. */
  send({ address, envelope }: Outgoing<D>): void {
    if (this.#closed) return;
    const text = formatEnvelope(envelope, this.#options.unlisted());
    if (envelope.toRun === undefined) return this.#linkTo(address).send(text);
    const asker = this.#askers.get(envelope.toRun);
    if (asker !== undefined) { for (const part of partsOf(text)) asker.sendText(part); }
  }

  /** Another coordinator has opened a connection, and its `hello` was accepted. */
  accept(connection: Connection): ConnectionHandlers {
    const name = `coordinator ${formatAddress(connection.remote)}`;
    const parts = new MessageParts();
    const runs = new Set<string>();
    return new PeerServer<AgreementMessage>(connection, this.#log, { name, takes }, (peer) => ({
      onMessage: (message) => {
        const envelope = this.#open(message, parts, connection.member);
        if (envelope === undefined) return;
        const { run } = envelope.from;
        // One process asks over one connection at a time: the newest.
        if (runs.size === 0 || runs.has(run)) {
          runs.add(run);
          this.#askers.set(run, peer);
        }
        this.#options.onEnvelope(envelope);
      },
      onClose: () => {
        for (const run of runs) if (this.#askers.get(run) === peer) this.#askers.delete(run);
      },
    }));
  }

  /** Ends the connections that this coordinator has opened, when what was sent has left. */
  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close(true);
  }

  #linkTo(address: Outgoing<D>["address"]): CoordinatorLink {
    const name = formatAddress(address);
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const parts = new MessageParts();
    const link = new CoordinatorLink(this.#deps, address, {
      onMessage: (message, member) => {
        try {
          const envelope = this.#open(message, parts, member);
          if (envelope !== undefined) this.#options.onEnvelope(envelope);
        } catch (error) {
          if (!(error instanceof KvError)) throw error;
          this.#log.warn("an answer of another coordinator is not used", {
            coordinator: name,
            error: error.message,
          });
        }
      },
      onIdle: () => this.#links.delete(name),
    });
    this.#links.set(name, link);
    return link;
  }

  /** @throws {KvError} if it is no message of the agreement, or another coordinator's than it says */
  #open(
    message: AgreementMessage,
    parts: MessageParts,
    member: MemberName | undefined,
  ): Envelope<D> | undefined {
    const whole = parts.take(message);
    if (whole === undefined) return undefined;
    const envelope = parseEnvelope(whole, this.#options.parseBody);
    const { id } = envelope.from;
    if (member === undefined) return envelope;
    if (member.id === id) {
      const certificate = parseCertificate(whole);
      if (certificate !== undefined) this.#options.onUnlisted(id, certificate);
      return envelope;
    }
    throw new KvError(
      "forbidden",
      `agree: the sender says that it is ${id}, its certificate is that of ${member.role} ${member.id}`,
    );
  }
}

function takes(message: { req_type: string }): message is AgreementMessage {
  return goes(message as AgreementMessage, "agreement");
}
