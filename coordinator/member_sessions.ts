/**
 * The nodes' sessions with the coordinator: a connection for each, over which a node registers and reports, and
 * is sent the map and its orders. It is the one place where the messages of nodes are told apart; what they mean
 * is for the state machine of `controller/`.
 *
 * Invariants: a session has one connection, whose `hello` said that it is a member's, and which; nothing is taken over
 * it that another node would say; the state machine hears of
 * the end of each session that it has heard of; a key for heartbeats is sent over no connection but that of a node
 * whose certificate was verified.
 *
 * @module
 */
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import { KvError } from "../shared/base/errors.ts";
import { databaseOrderOf } from "../shared/cluster/databases.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { MemberName } from "../shared/platform/member_identity.ts";
import type { Random } from "../shared/platform/random.ts";
import type { Address } from "../shared/platform/transport.ts";
import {
  type JudgedDocument,
  judgedPart,
  judgesAlike,
} from "../shared/security/security_document.ts";
import { PeerServer } from "../shared/server/peer_server.ts";
import type { Connection, ConnectionHandlers } from "../shared/wire/connection.ts";
import { goes, type MemberMessage, type Message } from "../shared/wire/messages.ts";
import type { Input } from "./controller/input.ts";
import type { DatabaseInput, Decided } from "./database_changes.ts";
import { HeartbeatChannels } from "./membership/heartbeat_channels.ts";
import type { Ready } from "./state/ready.ts";
import type { SessionId } from "./state/member.ts";

/** What sessions of a secured cluster need. */
export interface SessionsSecurity {
  /** By what all members judge. */
  readonly document: JudgedDocument;
  /** A node judges by this version. */
  noteVersion(version: number, node: string): void;
  /** @throws {KvError} which the node is told */
  renew(
    message: Message<"renew_certificate">,
    caller: { readonly member: MemberName; readonly remote: Address },
    done: (certificate: string | Message<"error">) => void,
  ): void;
}

/** What sessions need of the active coordinator. */
export interface SessionsOwner {
  /** Has the state machine take an input, and does what it asks for. */
  step(input: Input): Ready;
  /** Has a database made or dropped. */
  orderDatabase(input: DatabaseInput, decided: Decided): void;
  /** Whether leases may be given at this moment. */
  hasRight(): boolean;
  /** @throws {KvError} `unavailable` if another coordinator may have taken over: its map is older then */
  checkRight(what: string): void;
  /** @throws {KvError} `unavailable` if there is no map yet that may be shown */
  publishedMap(what: string): ClusterMap;
  /** The coordinator has ended: what connections do does not matter any more. */
  readonly closed: boolean;
}

/** The sessions of one coordinator. */
export class MemberSessions {
  /** Of certified nodes. */
  readonly channels: HeartbeatChannels;
  readonly #log: Logger;
  readonly #owner: SessionsOwner;
  readonly #security: SessionsSecurity | undefined;
  readonly #open = new Map<SessionId, PeerServer<MemberMessage>>();
  #next: SessionId = 1;
  /** The last whole map as text: many sessions may be sent the same one. */
  #mapText: { map: ClusterMap; text: string } | undefined;
  /** The same of the document by which all judge. */
  #judgedText: { version: number; text: string } | undefined;
  /** The document that all sessions have, or one that says the same. */
  #told: JudgedDocument | undefined;

  /** @param security of a secured cluster */
  constructor(
    { log, random }: { log: Logger; random: Random },
    owner: SessionsOwner,
    security?: SessionsSecurity,
  ) {
    this.channels = new HeartbeatChannels(random);
    this.#log = log;
    this.#owner = owner;
    this.#security = security;
    this.#told = security?.document;
  }

  /** A node has opened a connection for its session, and its `hello` was accepted. */
  accept(node: string, connection: Connection): ConnectionHandlers {
    const session = this.#next++;
    if (connection.member?.id === node) this.channels.add(session, node);
    const options = { name: `node ${node}`, takes: isMembers };
    return new PeerServer(connection, this.#log, options, (peer) => {
      this.#open.set(session, peer);
      // Before anything else: what the node does as a member it does by the newest rules.
      const security = this.#securityText;
      if (security !== undefined) peer.sendText(security);
      return {
        onMessage: (message) => {
          if (message.req_type === "renew_certificate") this.#renew(message, connection, peer);
          else {
            checkSender(message, node);
            this.#onMessage(session, message, peer);
          }
        },
        onClose: () => {
          this.#open.delete(session);
          this.channels.remove(session);
          if (!this.#owner.closed) this.#owner.step({ type: "session_closed", session });
        },
      };
    });
  }

  /** The document has changed: all are told, if they judge by something else now. */
  tellSecurity(): void {
    const document = this.#security?.document;
    if (document === undefined || this.#told !== undefined && judgesAlike(document, this.#told)) {
      return;
    }
    this.#told = document;
    const security = this.#securityText;
    if (security === undefined) return;
    for (const peer of this.#open.values()) peer.sendText(security);
  }

  /** The message with the document by which all judge, encoded; undefined if the cluster is not secured. */
  /** How many nodes have one. */
  get size(): number {
    return this.#open.size;
  }

  get #securityText(): string | undefined {
    const document = this.#security?.document;
    if (document === undefined) return undefined;
    const { version } = document;
    if (this.#judgedText?.version !== version) {
      const message: Message<"security"> = {
        req_type: "security",
        document: judgedPart(document),
      };
      this.#judgedText = { version, text: JSON.stringify(message) };
    }
    return this.#judgedText.text;
  }

  #renew(
    message: Message<"renew_certificate">,
    { member, remote }: Connection,
    peer: PeerServer<MemberMessage>,
  ): void {
    if (this.#security === undefined || member === undefined) {
      throw new KvError("bad_request", "renew_certificate: this cluster is not secured");
    }
    this.#security.renew(message, { member, remote }, (answer) => {
      if (typeof answer !== "string") peer.send({ ...answer, id: message.id });
      else peer.send({ req_type: "certificate", id: message.id, certificate: answer });
    });
  }

  /** Sends the same message to some sessions. */
  send(sessions: readonly SessionId[], message: Message): void {
    const text = this.#encode(message);
    for (const session of sessions) {
      const key = message.req_type === "registered" ? this.channels.keyOf(session) : undefined;
      const own = key === undefined ? text : `{"heartbeat_key":"${key}",${text.slice(1)}`;
      this.#open.get(session)?.sendText(own);
    }
  }

  /** Ends a session, after what was sent is out. */
  close(session: SessionId): void {
    this.#open.get(session)?.close();
  }

  /** Ends them all. */
  closeAll(): void {
    for (const peer of this.#open.values()) peer.close();
  }

  /** @throws {KvError} which the node is told */
  #onMessage(
    session: SessionId,
    message: Exclude<MemberMessage, Message<"renew_certificate">>,
    peer: PeerServer<MemberMessage>,
  ): void {
    switch (message.req_type) {
      case "register": {
        this.#owner.checkRight("register");
        const { refusal } = this.#owner.step({ type: "register", session, message });
        if (refusal !== undefined) throw refusal;
        const { security_version: version, node } = message;
        // JSON null stands for an absent field.
        if (typeof version === "number") this.#security?.noteVersion(version, node);
        return;
      }
      case "heartbeat": {
        const hasRight = this.#owner.hasRight();
        const { acknowledgement } = this.#owner.step({
          type: "heartbeat",
          session,
          message,
          hasRight,
        });
        if (acknowledgement !== undefined) peer.send(acknowledgement);
        return;
      }
      case "caught_up":
      case "lagging":
      case "damaged":
      case "drained":
      case "resumed":
        this.#owner.step({ type: "report", session, message });
        return;
      case "disk":
        this.#owner.step({ type: "disk", session, writable: message.writable });
        return;
      case "database_wanted": {
        // One that was replaced may know a database that is dropped. The node asks again, perhaps somebody else.
        if (!this.#owner.hasRight()) return;
        const { database: name, wish, drop: number } = message;
        const input: DatabaseInput = typeof number === "number"
          ? { type: "drop_database", name, number, session }
          : { type: "create_database", order: databaseOrderOf(message), ifAbsent: true, session };
        this.#owner.orderDatabase(input, (outcome) => {
          // The session may have been none: then the node asks again over the next one.
          if (outcome === 0) return;
          if (outcome instanceof KvError) {
            const { code, message: why } = outcome;
            peer.send({ req_type: "database_decided", wish, code, message: why });
          } else peer.send({ req_type: "database_decided", wish, epoch: outcome });
        });
        return;
      }
      case "leave":
        this.#owner.step({ type: "leave", session, stopping: message.stopping === true });
        return;
      case "get_map":
        peer.send({ req_type: "map", id: message.id, map: this.#owner.publishedMap("get_map") });
        return;
      default:
        message satisfies never;
    }
  }

  #encode(message: Message): string {
    if (message.req_type !== "registered") return JSON.stringify(message);
    const { map, ...rest } = message;
    if (this.#mapText?.map !== map) this.#mapText = { map, text: JSON.stringify(map) };
    return `${JSON.stringify(rest).slice(0, -1)},"map":${this.#mapText.text}}`;
  }
}

/** Over its session a node speaks for itself. @throws {KvError} `forbidden` if the message is another node's */
function checkSender(message: MemberMessage, node: string): void {
  if (message.req_type !== "register" && message.req_type !== "heartbeat") return;
  if (message.node === node) return;
  throw new KvError(
    "forbidden",
    `${message.req_type}: "node" is ${message.node}, this is the session of node ${node}`,
  );
}

/** Whether a message is one that a node sends in its session. */
function isMembers(message: Message): message is MemberMessage {
  return goes(message, "member") || message.req_type === "heartbeat" ||
    message.req_type === "get_map";
}
