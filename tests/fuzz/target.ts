/**
 * A small cluster of real processes that hostile input is sent to, and the questions by which one sees
 * whether it is still well. Nothing is judged by how long it takes: every wait has one generous bound.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Address } from "../../shared/platform/transport.ts";
import { askJson } from "../../tools/json_probe.ts";
import { DENOKV_ID_SLOT, DENOKV_PATH } from "./denokv_cases.ts";
import { fetchMap } from "../../tools/cluster_state.ts";
import { CLUSTER_ID_SLOT } from "./frame_cases.ts";
import { joined } from "./hostile.ts";
import { TestCluster } from "../support/worlds/cluster.ts";

/** Bound of each wait. */
const WAIT_MS = 30_000;
/** What is read of one connection's replies. */
const REPLY_BYTES_MAX = 1 << 20;

/** Where input goes in. */
export type FrontEnd =
  | "node"
  | "coordinator"
  | "node http"
  | "coordinator http"
  | "heartbeats"
  | "discovery";

/** Something that must not be. */
export class Finding extends Error {
  override readonly name = "Finding";
}

/** A coordinator and two nodes, each partition on both. */
export class Target implements AsyncDisposable {
  #cluster: TestCluster;
  /** Of Deno KV's database; asked for when it is needed first. */
  #denoKvId: Uint8Array | undefined;

  private constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  static async start(): Promise<Target> {
    return new Target(await startCluster());
  }

  /** Another cluster in its place. */
  async renew(): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    this.#cluster = await startCluster();
    this.#denoKvId = undefined;
  }

  /**
   * Sends bytes over a connection of their own, ends it, and gives what was answered by then.
   *
   * @param hello is sent first, and must be accepted; its answer is not among what is given
   */
  async send(frontEnd: FrontEnd, input: Uint8Array, hello?: string): Promise<Uint8Array> {
    const bytes = await this.#withDenoKvId(input);
    const address = this.#address(frontEnd);
    if (frontEnd === "heartbeats" || frontEnd === "discovery") {
      const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      await socket.send(bytes, { transport: "udp", hostname: address.host, port: address.port });
      socket.close();
      return new Uint8Array();
    }
    const connection = await Deno.connect({ hostname: address.host, port: address.port });
    let closed = false;
    const close = () => {
      if (!closed) connection.close();
      closed = true;
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      close();
    }, WAIT_MS);
    if (hello !== undefined) await this.#greet(connection, hello);
    const replies = readAll(connection);
    await sendAll(connection, bytes);
    const reply = await replies;
    clearTimeout(timer);
    close();
    if (late) throw new Finding(`${frontEnd}: neither answered nor closed within ${WAIT_MS} ms`);
    return reply;
  }

  async #greet(connection: Deno.TcpConn, hello: string): Promise<void> {
    const map = await fetchMap(this.#cluster.coordinatorAddress);
    const { clusterId = "" } = map?.settings ?? {};
    if (clusterId.length !== CLUSTER_ID_SLOT.length) throw new Error(`an id is ${clusterId}`);
    await connection.write(Buffer.from(hello.replace(CLUSTER_ID_SLOT, clusterId)));
    const answer = new Uint8Array(1_024);
    const count = await connection.read(answer) ?? 0;
    const text = new TextDecoder().decode(answer.subarray(0, count));
    if (!text.includes('"frames":')) throw new Error(`the hello is not accepted: ${text}`);
  }

  /** The input, with the id of Deno KV's database where it is to be. */
  async #withDenoKvId(input: Uint8Array): Promise<Uint8Array> {
    const slot = Buffer.from(DENOKV_ID_SLOT);
    const bytes = Buffer.from(input);
    for (let at = bytes.indexOf(slot); at >= 0; at = bytes.indexOf(slot, at + slot.length)) {
      this.#denoKvId ??= await this.#askDenoKvId();
      bytes.set(this.#denoKvId, at);
    }
    return bytes;
  }

  async #askDenoKvId(): Promise<Uint8Array> {
    const { host, port } = this.#address("node http");
    const response = await fetch(`http://${host}:${port}${DENOKV_PATH}`, {
      method: "POST",
      headers: { authorization: "Bearer any" },
      body: JSON.stringify({ supportedVersions: [3] }),
    });
    const { databaseId } = await response.json() as { databaseId: string };
    if (databaseId.length !== DENOKV_ID_SLOT.length) throw new Error(`an id is ${databaseId}`);
    return Buffer.from(databaseId);
  }

  /** @throws {Finding} if a process is gone, or a stranger to all of it is not served */
  async checkWell(): Promise<void> {
    const { coordinatorAddress, nodeCount } = this.#cluster;
    const nodes = Array.from({ length: nodeCount }, (_, i) => this.#cluster.nodeAddress(i));
    for (const address of [...nodes, coordinatorAddress]) await this.#checkServed(address);
  }

  /** A put and a get of somebody else. What is refused for a moment is asked again. */
  async #checkServed(address: Address): Promise<void> {
    const value = crypto.randomUUID();
    const key = `well:${address.port}`;
    const endMs = performance.now() + WAIT_MS;
    for (;;) {
      this.#checkRunning();
      let problem: unknown;
      try {
        const ack = await askJson(address, { req_type: "put", key, value }, WAIT_MS);
        const data = await askJson(address, { req_type: "get", key }, WAIT_MS);
        if (ack.req_type === "ack" && data.message === value) return;
        problem = `${JSON.stringify(ack)} ${JSON.stringify(data)}`;
      } catch (error) {
        problem = error;
      }
      if (performance.now() > endMs) {
        throw new Finding(`${address.host}:${address.port} does not serve others`, {
          cause: problem,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #checkRunning(): void {
    for (const process of this.#processes()) {
      if (process.ended) throw new Finding(`a process has ended: ${process.lastWords()}`);
    }
  }

  #processes() {
    const { coordinatorProcess, nodeCount } = this.#cluster;
    return [
      coordinatorProcess,
      ...Array.from({ length: nodeCount }, (_, i) => this.#cluster.node(i)),
    ];
  }

  #address(frontEnd: FrontEnd): Address {
    const { coordinatorAddress, coordinatorFacts } = this.#cluster;
    const { host } = coordinatorAddress;
    switch (frontEnd) {
      case "node":
        return this.#cluster.nodeAddress(0);
      case "node http":
        return this.#cluster.nodeHttpAddress(0);
      case "coordinator":
        return coordinatorAddress;
      case "coordinator http":
        return { host, port: coordinatorFacts.http ?? 0 };
      case "heartbeats":
        return { host, port: coordinatorFacts.heartbeat ?? 0 };
      case "discovery":
        return { host, port: coordinatorFacts.discovery ?? 0 };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
  }
}

function startCluster(): Promise<TestCluster> {
  return TestCluster.start({ nodes: 2, replicationFactor: 2, partitions: 8, discovery: true });
}

/** Sends all that is taken, and says that there is no more. */
async function sendAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await connection.closeWrite();
  } catch (error) {
    ignoreEnd(error);
  }
}

/** What comes until the other side closes. */
async function readAll(connection: Deno.TcpConn): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let size = 0;
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) break;
      if (size < REPLY_BYTES_MAX) kept.push(buffer.slice(0, count));
      size += count;
    }
  } catch (error) {
    ignoreEnd(error);
  }
  return joined(...kept);
}

/** The other side may close whenever it likes; anything else is a mistake of ours. */
function ignoreEnd(error: unknown): void {
  const isEnd = error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
  if (!isEnd) throw error;
}
