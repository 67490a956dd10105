/**
 * The JSON wire without the library's cost: requests go to the primary of each key, over several
 * connections to each node; replies are found by their id.
 *
 * @module
 */
import { partitionOf } from "../../../shared/cluster/position.ts";
import { fetchMap } from "../../../tools/cluster_state.ts";
import type { ClientSpec, Done, Endpoint, StoreClient } from "./store_client.ts";
import { TcpLink } from "./tcp_link.ts";

const HELLO = `{"id":"hello","req_type":"hello","protocol":1,"role":"client"}\n`;
const ERROR_MARK = `"req_type":"error"`;

/** One connection. */
class Connection {
  readonly #link: TcpLink;
  readonly #calls = new Map<number, Done>();
  readonly #decoder = new TextDecoder("latin1");
  #partial = "";
  #nextId = 1;
  #ended: string | undefined;

  constructor(link: TcpLink) {
    this.#link = link;
    link.start({ onBytes: (bytes) => this.#feed(bytes), onEnd: (reason) => this.#end(reason) });
    link.text(HELLO);
  }

  send(request: string, done: Done): void {
    if (this.#ended !== undefined) {
      const reason = this.#ended;
      setTimeout(() => done(reason), 0);
      return;
    }
    const id = this.#nextId++;
    this.#calls.set(id, done);
    this.#link.text(`{"id":${id},${request}`);
  }

  close(): void {
    this.#link.close();
  }

  #feed(bytes: Uint8Array): void {
    const lines = (this.#partial + this.#decoder.decode(bytes)).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      const id = parseInt(line.slice(line.indexOf(`"id":`) + 5));
      const done = this.#calls.get(id);
      if (done === undefined) continue;
      this.#calls.delete(id);
      done(line.includes(ERROR_MARK) ? line : undefined);
    }
  }

  #end(reason: string): void {
    this.#ended = reason;
    for (const done of this.#calls.values()) done(reason);
    this.#calls.clear();
  }
}

/** Connects. */
export async function wireClient(
  { endpoints, connections }: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const perNode = Math.max(1, Math.ceil(connections / endpoints.length));
  const pools: Connection[][] = [];
  for (const endpoint of endpoints) {
    const pool: Connection[] = [];
    for (let i = 0; i < perNode; i++) pool.push(new Connection(await TcpLink.connect(endpoint)));
    pools.push(pool);
  }
  const poolOfPartition = await poolsOfPartitions(endpoints);
  const send = (slot: number, key: string, request: string, done: Done) => {
    const index = poolOfPartition[partitionOf(key, poolOfPartition.length)] ?? 0;
    pools[index]?.[slot % perNode]?.send(request, done);
  };
  return {
    get: (slot, key, done) => send(slot, key, `"req_type":"get","key":"${key}"}\n`, done),
    put: (slot, key, value, done) =>
      send(slot, key, `"req_type":"put","key":"${key}","value":"${values[value]}"}\n`, done),
    close: () => pools.flat().forEach((connection) => connection.close()),
  };
}

/** The index of the endpoint that is primary of each partition. */
async function poolsOfPartitions(endpoints: readonly Endpoint[]): Promise<number[]> {
  const [first] = endpoints;
  const map = first === undefined ? undefined : await fetchMap(first);
  if (map === undefined) throw new Error("the servers have no cluster map");
  const indexOf = new Map(
    map.nodes.map(({ id, host, port }) => [
      id,
      // A node by itself may say nothing of where it listens.
      Math.max(0, endpoints.findIndex((node) => node.host === host && node.port === port)),
    ]),
  );
  return map.partitions.map(({ primary }) => indexOf.get(primary ?? "") ?? 0);
}
