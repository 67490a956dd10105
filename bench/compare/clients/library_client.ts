/** Our own client library, as a program would use it: one client, any number of callers. @module */
import { connect } from "../../../client/mod.ts";
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";

const encoder = new TextEncoder();

/** Connects. */
export async function libraryClient(
  { endpoints }: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const [first, ...others] = endpoints.map(({ host, port }) => `${host}:${port}`);
  const client = await connect({ coordinator: first, seeds: others });
  const bytes = values.map((value) => encoder.encode(value));
  const empty = new Uint8Array(0);
  const fail = (done: Done) => (error: unknown) =>
    done(error instanceof Error ? error.message : String(error));
  return {
    get: (_slot, key, done) => {
      client.get(key).then(
        (value) => done(value === undefined ? "no such key" : undefined),
        fail(done),
      );
    },
    put: (_slot, key, value, done) => {
      client.put(key, bytes[value] ?? empty).then(() => done(), fail(done));
    },
    close: () => client.close(),
  };
}
