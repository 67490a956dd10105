/**
 * Finding a coordinator on the local network, where nobody has named one: a question by UDP
 * broadcast, answered by every coordinator that hears it. A convenience and not a directory: it does
 * not cross routers, and anybody on the network may answer. What is found is only an address to try;
 * registration then checks the cluster.
 *
 * @module
 */
import { type Clock, setPeriodic } from "./clock.ts";
import { DATAGRAM_BYTES_MAX, DISCOVERY_REPEAT_MS, DISCOVERY_WAIT_MS } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { type Message, whyInvalid } from "./messages.ts";
import type { Address, DatagramSocket, Transport } from "./transport.ts";

/** The UDP port on which coordinators listen for questions. */
export const DISCOVERY_PORT = 7946;

/** Every host of this machine's network, and this machine itself where it has no other network. */
export const BROADCAST_HOSTS: readonly string[] = ["255.255.255.255", "127.255.255.255"];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How to ask. */
export interface DiscoverOptions {
  /** Default {@linkcode DISCOVERY_PORT}. */
  readonly port?: number;
  /** Default {@linkcode BROADCAST_HOSTS}. */
  readonly hosts?: readonly string[];
  /** The id of the only cluster to find; by default any. */
  readonly cluster?: string | undefined;
}

/** Asks the local network. The first answer wins; undefined where none comes in time. */
export async function discover(
  { clock, transport }: { clock: Clock; transport: Transport },
  options: DiscoverOptions = {},
): Promise<Address | undefined> {
  const { port = DISCOVERY_PORT, hosts = BROADCAST_HOSTS, cluster } = options;
  const found = Promise.withResolvers<Address | undefined>();
  let socket: DatagramSocket;
  try {
    socket = await transport.bindDatagram({ host: "0.0.0.0", port: 0 }, (bytes) => {
      const answer = decode(bytes);
      if (answer?.req_type !== "discovered") return;
      if (cluster !== undefined && answer.cluster !== cluster) return;
      if (answer.port < 1 || answer.port > 65_535 || answer.host === "") return;
      found.resolve({ host: answer.host, port: answer.port });
    });
  } catch {
    // No UDP here: then nobody can be found by it.
    return undefined;
  }
  const question: Message<"discover"> = { req_type: "discover" };
  if (cluster !== undefined) question.cluster = cluster;
  const bytes = encoder.encode(JSON.stringify(question));
  const ask = () => hosts.forEach((host) => socket.send(bytes, { host, port }));
  ask();
  const again = setPeriodic(clock, DISCOVERY_REPEAT_MS, ask);
  const enough = clock.setTimer(DISCOVERY_WAIT_MS, () => found.resolve(undefined));
  try {
    return await found.promise;
  } finally {
    again.cancel();
    enough.cancel();
    socket.close();
  }
}

/** What a coordinator answers with. */
export interface DiscoverableCluster {
  readonly cluster: string;
  /** Where it is to be reached. */
  readonly address: Address;
}

/**
 * Answers questions until closed. Where the port is taken (a second coordinator on this machine),
 * that is logged, and nothing else: discovery is not needed for anything.
 *
 * @returns the socket, or undefined where the port cannot be had
 */
export async function answerDiscovery(
  { transport, log }: { transport: Transport; log: Logger },
  options: DiscoverableCluster & { port?: number },
): Promise<DatagramSocket | undefined> {
  const { cluster, address, port = DISCOVERY_PORT } = options;
  const answer: Message<"discovered"> = { req_type: "discovered", cluster, ...address };
  const bytes = encoder.encode(JSON.stringify(answer));
  try {
    const socket = await transport.bindDatagram({ host: "0.0.0.0", port }, (datagram, from) => {
      const question = decode(datagram);
      if (question?.req_type !== "discover") return;
      if (question.cluster !== undefined && question.cluster !== cluster) return;
      // An address that only this machine can use is no help to another one.
      if (isLoopback(address.host) && !isLoopback(from.host)) return;
      socket.send(bytes, from);
    });
    return socket;
  } catch (error) {
    log.info("not to be found by discovery", {
      port,
      reason: error instanceof Error ? error.message : String(error),
    });
    return undefined;
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function decode(bytes: Uint8Array): Message | undefined {
  if (bytes.length > DATAGRAM_BYTES_MAX) return undefined;
  let message: unknown;
  try {
    message = JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) return undefined;
  const fields = message as Record<string, unknown>;
  return whyInvalid(fields) === undefined ? fields as Message : undefined;
}
