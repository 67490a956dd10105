/**
 * etcd over gRPC: `KV/Put` and `KV/Range` (linearizable, which is the default of etcd's API), and
 * `KV/Txn` with many puts, to load keys. Messages are written by hand: a few fields of
 * etcd's `rpc.proto`.
 *
 * @module
 */
import { GrpcConnection, headerBlock } from "./grpc_connection.ts";
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";
import { TcpLink } from "./tcp_link.ts";

const RANGE = headerBlock("/etcdserverpb.KV/Range");
const PUT = headerBlock("/etcdserverpb.KV/Put");
const TXN = headerBlock("/etcdserverpb.KV/Txn");

const encoder = new TextEncoder();

/** A field of bytes: its number, its length, the bytes. */
function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  const head = [number << 3 | 2];
  let length = bytes.length;
  for (; length >= 128; length >>>= 7) head.push(length & 127 | 128);
  head.push(length);
  return concat([Uint8Array.from(head), bytes]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function putRequest(key: Uint8Array, value: Uint8Array): Uint8Array {
  return concat([bytesField(1, key), bytesField(2, value)]);
}

/** The most puts that etcd accepts in one transaction with its default settings. */
export const ETCD_TXN_PUTS_MAX = 128;

/** A client that can also write many keys at once. */
export interface EtcdClient extends StoreClient {
  putMany(slot: number, keys: readonly string[], value: number, done: Done): void;
}

/** Connects. */
export async function etcdGrpcClient(
  { endpoints, connections }: ClientSpec,
  values: readonly string[],
): Promise<EtcdClient> {
  const all: GrpcConnection[] = [];
  for (let i = 0; i < connections; i++) {
    const endpoint = endpoints[i % endpoints.length];
    if (endpoint === undefined) throw new Error("a client needs an endpoint");
    all.push(new GrpcConnection(await TcpLink.connect(endpoint)));
  }
  const valueBytes = values.map((value) => encoder.encode(value));
  const valueFields = valueBytes.map((bytes) => bytesField(2, bytes));
  const empty = new Uint8Array(0);
  const valueBytesMin = Math.min(...valueBytes.map(({ length }) => length));
  const call = (
    slot: number,
    headers: Uint8Array,
    message: Uint8Array,
    done: Done,
    bytesMin = 0,
  ) => all[slot % all.length]?.call(headers, message, bytesMin, done);
  return {
    get: (slot, key, done) =>
      call(slot, RANGE, bytesField(1, encoder.encode(key)), done, valueBytesMin),
    put: (slot, key, value, done) => {
      const keyField = bytesField(1, encoder.encode(key));
      call(slot, PUT, concat([keyField, valueFields[value] ?? empty]), done);
    },
    putMany: (slot, keys, value, done) => {
      const puts = keys.map((key) => putRequest(encoder.encode(key), valueBytes[value] ?? empty));
      // Txn.success, each a RequestOp with request_put.
      const operations = puts.map((put) => bytesField(2, bytesField(2, put)));
      call(slot, TXN, concat(operations), done);
    },
    close: () => all.forEach((connection) => connection.close()),
  };
}
