/**
 * Finds a coordinator on the local network if none was named: a question by UDP broadcast and
 * multicast, answered by every coordinator that hears it. It is a convenience and not a directory: it
 * does not cross routers. It finds only an address to try; registration then checks the cluster. The
 * other side is `coordinator/discovery/discovery_responder.ts`.
 *
 * Invariant: an answer counts only if it repeats this question's nonce. If there is a secret, or the cluster's
 * authority is known, it must also be signed and name the address itself, because anybody can forge a datagram's
 * sender.
 *
 * @module
 */
import { type Clock, setPeriodic } from "../platform/clock.ts";
import type { AnswerTrust } from "./answer_signature.ts";
import { decodePacket, encodeQuestion } from "./discovery_packet.ts";
import { DISCOVERY_GROUP, DISCOVERY_PORT, type DiscoveryMode } from "./discovery_settings.ts";
import { promiseParts } from "../base/promise_parts.ts";
import { KvError } from "../base/errors.ts";
import {
  DISCOVERY_ANSWERS_MAX,
  DISCOVERY_REPEAT_MS,
  DISCOVERY_SETTLE_MS,
  DISCOVERY_WAIT_MS,
} from "../limits/membership.ts";
import type { Message } from "../wire/messages.ts";
import {
  broadcastAddress,
  isLoopback,
  type NetworkInterface,
} from "../platform/network_interface.ts";
import { type Random, randomId } from "../platform/random.ts";
import {
  type Address,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../platform/transport.ts";

/** Every host of this machine's network; or this machine itself if it has no other network. */
const BROADCAST_HOSTS: readonly string[] = ["255.255.255.255", "127.255.255.255"];

/** What the search needs of the outside world. */
export interface DiscoveryDeps {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly random: Random;
  /** This machine's addresses; empty if they cannot be found out. */
  interfaces(): readonly NetworkInterface[];
}

/** How to ask. */
export interface DiscoverOptions {
  /** Default {@linkcode DISCOVERY_PORT}. */
  readonly port?: number;
  /** Default `on`. */
  readonly mode?: DiscoveryMode;
  /** The name of the only cluster to find; by default any. */
  readonly name?: string | undefined;
  /** The id of the only cluster to find; by default any. */
  readonly cluster?: string | undefined;
  /** Only answers that are signed with it count. */
  readonly secret?: string | undefined;
  /** Only answers of coordinators of a secured cluster count, whose authority has signed their certificates. */
  readonly trust?: AnswerTrust | undefined;
  /** Where to ask, instead of all networks of this machine; for tests. */
  readonly hosts?: readonly string[];
}

/** The result of the search. */
export interface Discovered {
  readonly address: Address | undefined;
  /** A clause for the text of a later error: what was asked, and what was heard. */
  readonly said: string;
}

/** The path of a question: from one address of this machine, to some hosts. */
interface Way {
  readonly from: string;
  readonly to: readonly string[];
}

/**
 * Asks the local network, and waits a moment for more answers.
 *
 * @throws {KvError} `bad_config` if several coordinators answer, with a list of them
 */
export async function discover(
  deps: DiscoveryDeps,
  options: DiscoverOptions = {},
): Promise<Discovered> {
  const { clock, transport, random } = deps;
  const { port = DISCOVERY_PORT, mode = "on", name, cluster, secret } = options;
  if (mode === "off") return { address: undefined, said: "discovery is off" };
  const nonce = randomId(random) + randomId(random);
  const question: Message<"discover"> = { req_type: "discover", nonce };
  if (cluster !== undefined) question.cluster = cluster;
  if (name !== undefined) question.name = name;
  const bytes = encodeQuestion(question, secret);
  const answers = new Answers(options, nonce, clock);

  const ended = promiseParts<void>();
  let settle = undefined as ReturnType<Clock["setTimer"]> | undefined;
  const onDatagram = (packet: Uint8Array, from: Address) => {
    if (!answers.take(packet, from)) return;
    // Others may answer too, and then the caller must know.
    settle ??= clock.setTimer(DISCOVERY_SETTLE_MS, ended.resolve);
  };
  const ways = waysOf(options.hosts, mode, deps.interfaces());
  const opened = await openAll(transport, ways, onDatagram);
  const ask = () => {
    for (const { socket, to } of opened) to.forEach((host) => socket.send(bytes, { host, port }));
  };
  ask();
  const again = setPeriodic(clock, DISCOVERY_REPEAT_MS, ask);
  const enough = clock.setTimer(opened.length === 0 ? 0 : DISCOVERY_WAIT_MS, ended.resolve);
  try {
    await ended.promise;
  } finally {
    again.cancel();
    enough.cancel();
    settle?.cancel();
    for (const { socket } of opened) socket.close();
  }
  const asked = [...new Set(opened.flatMap(({ to }) => to))];
  return answers.outcome(
    asked.length === 0 ? "no UDP here" : `asked ${asked.join(", ")}, port ${port}`,
  );
}

/**
 * Asks from each network of this machine, because otherwise the system would choose one. If the networks
 * are not known, it asks from wherever the system likes.
 */
function waysOf(
  hosts: readonly string[] | undefined,
  mode: DiscoveryMode,
  interfaces: readonly NetworkInterface[],
): Way[] {
  if (hosts !== undefined) return [{ from: "0.0.0.0", to: hosts }];
  const group = mode === "broadcast" ? [] : [DISCOVERY_GROUP];
  if (interfaces.length === 0) {
    return [{ from: "0.0.0.0", to: [...(mode === "multicast" ? [] : BROADCAST_HOSTS), ...group] }];
  }
  return interfaces.map((one) => {
    const own = broadcastAddress(one);
    const broadcast = isLoopback(one.address) || own === undefined ? [] : ["255.255.255.255"];
    if (own !== undefined) broadcast.unshift(own);
    return { from: one.address, to: [...(mode === "multicast" ? [] : broadcast), ...group] };
  });
}

async function openAll(
  transport: Transport,
  ways: readonly Way[],
  onDatagram: (bytes: Uint8Array, from: Address) => void,
): Promise<{ socket: DatagramSocket; to: readonly string[] }[]> {
  const opened = [];
  for (const { from, to } of ways) {
    try {
      const socket = await transport.bindDatagram({ host: from, port: 0 }, onDatagram);
      opened.push({ socket, to });
    } catch {
      // There is no UDP: then nothing can be found by it.
    }
  }
  return opened;
}

/** The answers to one question. */
class Answers {
  readonly #options: DiscoverOptions;
  readonly #nonce: string;
  readonly #clock: Pick<Clock, "wallMs">;
  /** By instance, that is by coordinator; each with the addresses from which it answered. */
  readonly #found = new Map<string, { name: string; cluster: string; addresses: Address[] }>();
  #untrusted = 0;
  #unreachable = 0;

  constructor(options: DiscoverOptions, nonce: string, clock: Pick<Clock, "wallMs">) {
    this.#options = options;
    this.#nonce = nonce;
    this.#clock = clock;
  }

  /** Whether a datagram is an answer that counts. */
  take(packet: Uint8Array, from: Address): boolean {
    const { secret, trust, cluster, name } = this.#options;
    const isSigned = secret !== undefined || trust !== undefined;
    const decoded = decodePacket(packet, { secret, trust, nowMs: this.#clock.wallMs() });
    if (decoded?.message.req_type !== "discovered") return false;
    const { message, signature } = decoded;
    if (message.nonce !== this.#nonce) return false;
    if (isSigned && signature !== "good") {
      this.#untrusted++;
      return false;
    }
    if (cluster !== undefined && message.cluster !== cluster) return false;
    if (name !== undefined && message.name !== name) return false;
    if (message.port < 1 || message.port > 65_535) return false;
    if (isSigned && message.host === "") {
      this.#unreachable++;
      return false;
    }
    this.#note(message, message.host === "" ? from.host : message.host);
    return true;
  }

  get #signer(): string {
    return this.#options.trust === undefined
      ? "with our secret"
      : "by a coordinator that our authority has certified";
  }

  #note({ instance, name, cluster, port }: Message<"discovered">, host: string): void {
    const known = this.#found.get(instance);
    if (known === undefined) {
      if (this.#found.size >= DISCOVERY_ANSWERS_MAX) return;
      this.#found.set(instance, { name, cluster, addresses: [{ host, port }] });
    } else if (
      known.addresses.length < DISCOVERY_ANSWERS_MAX &&
      !known.addresses.some((one) => one.host === host && one.port === port)
    ) {
      known.addresses.push({ host, port });
    }
  }

  /** @throws {KvError} `bad_config` if there are several */
  outcome(asked: string): Discovered {
    const { name, cluster } = this.#options;
    const of = name !== undefined
      ? ` for a cluster named ${JSON.stringify(name)}`
      : cluster !== undefined
      ? ` for the cluster ${cluster}`
      : "";
    const heard = [
      this.#untrusted > 0 ? `${this.#untrusted} answers were not signed ${this.#signer}` : "",
      this.#unreachable > 0
        ? `${this.#unreachable} answers did not say where (give the coordinator --advertise-host)`
        : "",
    ].filter((clause) => clause !== "");
    const said = [`${asked}${of}`, ...heard].join("; ");
    const found = [...this.#found.values()];
    const [first, second] = found;
    if (first === undefined) return { address: undefined, said };
    if (second !== undefined) throw several(found);
    return { address: first.addresses.toSorted(nearerFirst)[0], said };
  }
}

/** First the address that does not leave the machine; then any order that is always the same. */
function nearerFirst(a: Address, b: Address): number {
  const far = Number(!isLoopback(a.host)) - Number(!isLoopback(b.host));
  return far !== 0 ? far : formatAddress(a) < formatAddress(b) ? -1 : 1;
}

function several(
  found: readonly { name: string; cluster: string; addresses: readonly Address[] }[],
): KvError {
  const list = found
    .map(({ name, cluster, addresses }) =>
      `${JSON.stringify(name)} (id ${cluster}) at ${addresses.map(formatAddress).join(" and ")}`
    )
    .toSorted();
  const sameName = new Set(found.map(({ name }) => name)).size === 1;
  return new KvError(
    "bad_config",
    `discovery: ${found.length} coordinators answered: ${list.join("; ")}; say which with ` +
      `--coordinator HOST:PORT${sameName ? "" : " or --cluster-name NAME"}`,
  );
}
