/** NATS JetStream KV over its own client: a connection to each server, any number of callers. @module */
import { connect, type KV, StorageType } from "nats";
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";

const BUCKET = "bench";
const REPLICAS = 3;
const encoder = new TextEncoder();

/** The bucket, made if it is not there: in files, on all three servers. */
export async function natsBucket(
  server: { readonly host: string; readonly port: number },
): Promise<{ bucket: KV; close(): Promise<void> }> {
  const link = await connect({
    servers: `${server.host}:${server.port}`,
    ignoreClusterUpdates: true,
  });
  try {
    const options = { replicas: REPLICAS, storage: StorageType.File, history: 1 };
    const bucket = await link.jetstream().views.kv(BUCKET, options);
    return { bucket, close: () => link.close() };
  } catch (error) {
    await link.close();
    throw error;
  }
}

/** Its keys may not have a colon. */
function keyOf(key: string): string {
  return key.replaceAll(":", "/");
}

/** Connects. */
export async function natsClient(
  { endpoints }: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const links = await Promise.all(endpoints.map(natsBucket));
  const bytes = values.map((value) => encoder.encode(value));
  const empty = new Uint8Array(0);
  const bucketOf = (slot: number) => {
    const link = links[slot % links.length];
    if (link === undefined) throw new Error("no server");
    return link.bucket;
  };
  const fail = (done: Done) => (error: unknown) =>
    done(error instanceof Error ? error.message : String(error));
  return {
    get: (slot, key, done) => {
      bucketOf(slot).get(keyOf(key)).then(
        (entry) => done(entry === null ? "no such key" : undefined),
        fail(done),
      );
    },
    put: (slot, key, value, done) => {
      bucketOf(slot).put(keyOf(key), bytes[value] ?? empty).then(() => done(), fail(done));
    },
    close: () => {
      for (const { close } of links) void close();
    },
  };
}
