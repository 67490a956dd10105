/**
 * Somebody in the network of a secured cluster who wants to read, change or stop it. It knows everything but keys:
 * addresses, names, maps, every datagram, what the code does. It sends, repeats and changes datagrams, in its own name
 * and in others'; it connects to every port as a stranger, as a user without rights, with the certificate of a node
 * that is in no map, and with one that was revoked; and it says what each of these must not.
 *
 * It is caught if it is answered by anything but a refusal, or if a heartbeat is answered that no node has sent, or one
 * twice. (A datagram that it has seen may be new to the coordinator, if it comes first, or if the network has lost the
 * node's own.) What it might do unseen shows in the history and in the replicas, as any other mistake does.
 *
 * @module
 */
import { type ErrorCode, KvError } from "../../../shared/base/errors.ts";
import type { NodeId } from "../../../shared/cluster/cluster_map.ts";
import { type Random, randomBelow, randomId } from "../../../shared/platform/random.ts";
import type { Address, Stream } from "../../../shared/platform/transport.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { type Message, MESSAGES, type MessageType } from "../../../shared/wire/messages.ts";
import { messageSamples } from "../../support/data/message_samples.ts";
import { type SimProcess, spread } from "../sim/scheduler.ts";
import type { SimTls } from "../sim/sim_members.ts";
import type { SimSecurity } from "../sim/sim_security.ts";
import type { World } from "../sim/world.ts";

const HOST = "adversary";
const RECORDED_MAX = 200;
/** Between two moves, at most. */
const PAUSE_MS_MAX = 1_500;
const CONNECT_MS = 3_000;
/** A connection is used for this long. */
const STAY_MS = 2_000;
const MESSAGES_PER_CONNECTION = 8;
/** Between two claims to have seen a later map. */
const CLAIM_MS = 4_000;
/** So many maps later than there is one; an honest node may be so far ahead of an old document. */
const CLAIMED_EPOCHS = 1_000;
const ROLES = ["client", "node", "gateway", "coordinator", "peer", "member"] as const;
/** What a user without any right is told. */
const OPEN_TO_USERS: readonly MessageType[] = [
  "get_map",
  "list_nodes",
  "get_nodes_for_key",
  "databases",
];
/** What everybody is told. */
const OPEN_TO_ALL: readonly MessageType[] = ["ping", "get_authorities"];

/** What it may be told: nothing that somebody with a right would learn. */
const REFUSALS: readonly string[] = [
  "unauthorized",
  "forbidden",
  "bad_request",
  "unavailable",
  "overloaded",
  "wrong_cluster",
] satisfies ErrorCode[];

/** A datagram that it has seen. */
interface Recorded {
  readonly bytes: Uint8Array;
  readonly from: Address;
  readonly to: Address;
}

/** As whom it comes. */
type Guise = "stranger" | "user" | "member" | "revoked";

/** What it says first, and how it may be answered. */
interface Greeting {
  readonly hello: object | undefined;
  /** As whom it is accepted rightly, if it is; who shows nothing is a stranger. */
  readonly as: Guise | undefined;
}

/** The adversary of one run. */
export class Adversary {
  readonly #world: World;
  readonly #security: SimSecurity;
  readonly #random: Random;
  readonly #recorded: Recorded[] = [];
  /** Heartbeats that nodes have sent by datagram and that were not answered so; two may have been sent at a moment. */
  readonly #heartbeats = new Map<string, number>();
  /** The node that its certificate names, which is in no map. */
  readonly #ownName: NodeId;
  readonly #tls: { readonly [of in "member" | "revoked"]: SimTls };
  #process: SimProcess | undefined;
  #send: (bytes: Uint8Array, to: Address) => void = () => {};
  #next = 1;

  constructor(world: World, security: SimSecurity, random: Random) {
    this.#world = world;
    this.#security = security;
    this.#random = random;
    this.#ownName = security.insider.id;
    world.network.onDatagramSent = (bytes, from, to) => this.#record(bytes, from, to);
    this.#tls = {
      member: { identity: security.insider.identity, clients: false, isCareless: true },
      revoked: { identity: security.removed.identity, clients: false, isCareless: true },
    };
  }

  /** The storm begins. */
  begin(): void {
    const process = this.#process = this.#world.spawn(HOST, HOST);
    const { network } = this.#world;
    network.transport(process).bindDatagram({ host: HOST, port: 0 }, () => {}).then((socket) => {
      this.#send = (bytes, to) => socket.send(bytes, to);
      this.#moveLater();
      this.#claimLater();
    });
  }

  /** The calm begins. */
  end(): void {
    const process = this.#process;
    this.#world.network.onDatagramSent = () => {};
    if (process === undefined) return;
    this.#process = undefined;
    process.kill();
    this.#world.network.processDied(process, true);
  }

  #record(bytes: Uint8Array, from: Address, to: Address): void {
    if (from.host === HOST) return;
    this.#judgeHeartbeat(messageIn(bytes));
    this.#recorded.push({ bytes: bytes.slice(), from, to });
    if (this.#recorded.length > RECORDED_MAX) this.#recorded.shift();
  }

  #judgeHeartbeat(message: Message | undefined): void {
    if (message?.req_type !== "heartbeat" && message?.req_type !== "heartbeat_ack") return;
    const { node, instance, sent } = message;
    const name = `${node} ${instance} ${sent}`;
    const open = this.#heartbeats.get(name);
    if (message.req_type === "heartbeat") this.#heartbeats.set(name, (open ?? 0) + 1);
    else if (open === undefined) this.#caught("a heartbeat was answered that no node has sent");
    else if (open === 0) this.#caught("a heartbeat was answered twice");
    else this.#heartbeats.set(name, open - 1);
  }

  #moveLater(): void {
    this.#process?.clock.setTimer(spread(this.#random, 20, PAUSE_MS_MAX), () => {
      this.#move();
      this.#moveLater();
    });
  }

  #move(): void {
    const moves = [
      () => this.#replay(),
      () => this.#replay(),
      () => this.#forgeHeartbeat(),
      () => this.#forgeAck(),
      () => this.#connectAs("stranger"),
      () => this.#connectAs("user"),
      () => this.#connectAs("member"),
      () => this.#connectAs("revoked"),
    ];
    this.#pick(moves)?.();
  }

  #claimLater(): void {
    this.#process?.clock.setTimer(CLAIM_MS, () => {
      this.#claim();
      this.#claimLater();
    });
  }

  /** It registers as itself and says that it has seen a later map, to stop the coordinator. Rule C9. */
  #claim(): void {
    const process = this.#process;
    const [coordinator] = this.#world.ports.members;
    const { map } = this.#world;
    if (process === undefined || coordinator === undefined || map === undefined) return;
    const { clusterId: cluster } = this.#security;
    const node = this.#ownName;
    const { epoch, generation, seal } = map;
    const register = {
      ...messageSamples({
        cluster,
        sender: node,
        node,
        partition: 0,
        config: { term: 1, primary: undefined, inSync: [], learners: [] },
        epoch,
        key: "hot0",
      }).register,
      req_type: "register",
      id: 2,
      incarnation: 1,
      held: [],
      seen_epoch: epoch + CLAIMED_EPOCHS,
      seen_generation: generation,
      // That of a map that was published.
      seen_seal: seal,
    };
    this.#world.coverage.hit("adversary: claims a later map");
    this.#world.network.transport(process, this.#tls.member).connect(
      coordinator,
      CONNECT_MS,
      (stream) => {
        const connection = new Connection(stream, process.clock, {
          onMessage: ({ req_type: type }) => {
            if (type === "registered") this.#caught("it has registered with a false claim");
          },
          onInvalid: () => {},
          onClose: () => {},
        });
        const hello = { req_type: "hello", protocol: 1, cluster_id: cluster, role: "member", node };
        connection.send({ ...hello, id: 1 });
        connection.send(register);
        process.clock.setTimer(STAY_MS, () => connection.close());
      },
      () => {},
    );
  }

  // Datagrams.

  #replay(): void {
    const recorded = this.#pick(this.#recorded);
    if (recorded === undefined) return;
    const { bytes, from, to } = recorded;
    this.#world.coverage.hit("adversary: datagram repeated or changed");
    const sent = this.#chance(50) ? bytes : this.#changed(bytes);
    // Whoever answers shows that it has believed it; in the name of the sender, it may do harm.
    if (this.#chance(50)) this.#send(sent, to);
    else this.#world.network.forgeDatagram(sent, from, to);
  }

  /** Another bit, a piece cut off, or without what seals it. */
  #changed(bytes: Uint8Array): Uint8Array {
    const changed = bytes.slice();
    const at = randomBelow(this.#random, bytes.length);
    switch (randomBelow(this.#random, 3)) {
      case 0:
        changed[at] = (changed[at] ?? 0) ^ (1 << randomBelow(this.#random, 7));
        return changed;
      case 1:
        return changed.subarray(0, at);
      default:
        return bytes.slice(0, Math.max(bytes.lastIndexOf(10), 0));
    }
  }

  /** A heartbeat that says what it likes, under the seal of one that was seen, counted on. */
  #forgeHeartbeat(): void {
    const seen = this.#newest("heartbeat");
    if (seen === undefined) return;
    const lie = this.#pick([
      { batch: 1_000_000 },
      { heard: this.#world.nowMs },
      { unserved: 100 },
      { incarnation: 1_000_000 },
    ]);
    const sent = Number((seen.message as Message<"heartbeat">).sent) + 0.25;
    const forged = reseal(seen.recorded, { ...seen.message, sent, ...lie });
    this.#world.coverage.hit("adversary: heartbeat forged");
    this.#send(forged, seen.recorded.to);
    this.#world.network.forgeDatagram(forged, seen.recorded.from, seen.recorded.to);
  }

  /** An acknowledgement of a node's last heartbeat, which gives it a lease. */
  #forgeAck(): void {
    const beat = this.#newest("heartbeat");
    if (beat === undefined) return;
    const { node, instance, sent } = beat.message as Message<"heartbeat">;
    const epoch = this.#world.map?.epoch ?? 0;
    const ack = { req_type: "heartbeat_ack", node, instance, sent, epoch, at: 1e12, lease: true };
    const { from, to } = beat.recorded;
    const answered = this.#recorded.findLast((one) => one.to.host === from.host);
    this.#world.coverage.hit("adversary: acknowledgement forged");
    const forged = reseal(answered ?? beat.recorded, ack);
    this.#world.network.forgeDatagram(forged, to, from);
  }

  #newest(type: MessageType): { recorded: Recorded; message: object } | undefined {
    const node = this.#pick(this.#world.members)?.name;
    const recorded = this.#recorded.findLast(({ bytes, from }) =>
      from.host === node && messageIn(bytes)?.req_type === type
    );
    const message = recorded === undefined ? undefined : messageIn(recorded.bytes);
    return recorded === undefined || message === undefined ? undefined : { recorded, message };
  }

  // Connections.

  #connectAs(guise: Guise): void {
    const process = this.#process;
    const { clients, members } = this.#world.ports;
    const tls = guise === "member" || guise === "revoked" ? this.#tls[guise] : undefined;
    // Now and then where it has nothing to look for.
    const isForMembers = (tls !== undefined) !== this.#chance(10);
    const to = this.#pick(isForMembers ? members : clients);
    if (process === undefined || to === undefined) return;
    const greeting = this.#greeting(guise);
    this.#world.coverage.hit(`adversary: comes as a ${guise}`);
    this.#world.network.transport(process, tls).connect(
      to,
      CONNECT_MS,
      (stream) => this.#speak(stream, guise, greeting),
      () => {},
    );
  }

  #greeting(guise: Guise): Greeting {
    const { clusterId } = this.#security;
    const base = { req_type: "hello", protocol: 1, cluster_id: clusterId };
    const other = this.#nodeId();
    if (guise === "user") {
      const secret = this.#security.tokenOf("eve");
      return { hello: { ...base, role: "client", secret }, as: "user" };
    }
    // Its own name and a node's role are what its certificate is for; then what it says is judged by the map.
    if (guise === "member" && this.#chance(30)) {
      return { hello: { ...base, role: "peer", node: this.#ownName }, as: "member" };
    }
    if (guise === "revoked" && this.#chance(50)) {
      const role = this.#pick(["peer", "node", "member"]);
      return { hello: { ...base, role, node: this.#security.removed.id }, as: undefined };
    }
    if (guise === "stranger" && this.#chance(20)) return { hello: undefined, as: undefined };
    const role = this.#pick(ROLES) ?? "client";
    const hello = { ...base, role, node: other };
    // The clients' port of a node asks for no certificate.
    return { hello, as: role === "client" ? "stranger" : undefined };
  }

  #speak(stream: Stream, guise: Guise, { hello, as }: Greeting): void {
    const process = this.#process;
    if (process === undefined) return stream.close();
    const asked = new Map<unknown, MessageType>();
    let told: Guise = "stranger";
    const waits = this.#chance(80);
    const connection = new Connection(stream, process.clock, {
      onMessage: (message) => {
        const type = asked.get(message.id);
        if (type !== "hello") this.#judge(message, type, told, guise);
        else if (message.req_type !== "ack") return;
        else if (as === undefined) {
          this.#caught(`as a ${guise} it was welcome: ${JSON.stringify(hello)}`);
        } else {
          told = as;
          if (waits) harm();
        }
      },
      onInvalid: () => {},
      onClose: () => {},
    });
    const say = (type: MessageType, fields: object) => {
      const id = this.#next++;
      asked.set(id, type);
      connection.send({ ...fields, req_type: type, id });
    };
    const harm = () => {
      const samples = this.#samples();
      const all = (Object.keys(samples) as MessageType[]).filter((type) => type !== "hello");
      const requests = all.filter((type) => MESSAGES[type].direction === "request");
      const types = guise === "user" && this.#chance(75) ? requests : all;
      for (let i = 0; i < MESSAGES_PER_CONNECTION; i++) {
        const type = this.#pick(types) ?? "ping";
        say(type, { ...samples[type], ...this.#more(type) });
      }
    };
    if (hello !== undefined) say("hello", hello);
    // Some do not wait for an answer: what comes before a login has been answered is nobody's.
    if (hello === undefined || !waits || as === undefined) harm();
    process.clock.setTimer(STAY_MS, () => connection.close());
  }

  /** What makes a request look as if somebody had let it in before. */
  #more(type: MessageType): object {
    if (MESSAGES[type].direction !== "request") return {};
    return this.#pick([{}, { forwarded: true }, { relay: true }, { as: "root" }, {
      forwarded: true,
      as: "root",
    }]) ?? {};
  }

  /** @param as whose answers it may get by now */
  #judge(message: Message, to: MessageType | undefined, as: Guise, guise: Guise): void {
    const type = message.req_type;
    const about = `as a ${guise} it said ${to ?? "?"} and was told`;
    if (type === "closing") return;
    if (type === "error") {
      // Everybody may end watches of its own, of which it has none.
      if (to === "unwatch" && message.code === "not_found") return;
      // Who wants to join is not known yet: a standby passes it on to the active one, which may die before it answers.
      if (to === "join" && message.code === "outcome_unknown") return;
      if (!isRefusal(message.code)) this.#caught(`${about} ${message.code}: ${message.message}`);
      return;
    }
    if (to !== undefined && OPEN_TO_ALL.includes(to)) return;
    if (as === "user" && to !== undefined && OPEN_TO_USERS.includes(to)) return;
    // Each request of a batch has an answer of its own.
    if (to === "batch" && type === "result" && Array.isArray(message.result)) {
      if (message.result.every((one) => isRefusal(one?.code))) return;
    }
    // So a replica refuses a primary.
    if (as === "member" && type === "stream_refused") return;
    if (as === "member" && type === "confirmed" && message.refused.length > 0) return;
    this.#caught(`${about} ${JSON.stringify(message).slice(0, 200)}`);
  }

  #samples() {
    const { map } = this.#world;
    const partition = randomBelow(this.#random, this.#world.shape.partitions);
    return messageSamples({
      cluster: this.#security.clusterId,
      sender: this.#ownName,
      node: this.#nodeId(),
      partition,
      config: map?.partitions[partition] ?? {
        term: 1,
        primary: undefined,
        inSync: [],
        learners: [],
      },
      epoch: map?.epoch ?? 0,
      // One that clients use too.
      key: `${this.#pick(["hot", "cold", "sum"])}${randomBelow(this.#random, 4)}`,
    });
  }

  #nodeId(): NodeId {
    return this.#pick(this.#world.members)?.nodeId ?? randomId(this.#random);
  }

  #caught(how: string): void {
    this.#world.defect ??= new KvError("internal", `the adversary got through: ${how}`);
  }

  #chance(percent: number): boolean {
    return randomBelow(this.#random, 100) < percent;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[randomBelow(this.#random, from.length)];
  }
}

function isRefusal(code: unknown): boolean {
  return typeof code === "string" && REFUSALS.includes(code);
}

function messageIn(bytes: Uint8Array): Message | undefined {
  const [text = ""] = new TextDecoder().decode(bytes).split("\n");
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Another message under the seal of a datagram, with a greater counter. */
function reseal({ bytes }: Recorded, message: object): Uint8Array {
  const [, seal = ""] = new TextDecoder().decode(bytes).split("\n");
  const [name = "", counter = "0", mac = ""] = seal.split(" ");
  const text = `${JSON.stringify(message)}\n${name} ${Number(counter) + 1} ${mac}`;
  return new TextEncoder().encode(text);
}
