/** Deno KV in a file of its own, in the process of the load: no server, and any number of callers. @module */
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";

const encoder = new TextEncoder();

/** Opens the file. Each of its commits is synced before it ends. */
export async function denoKvClient(
  { endpoints: [file] }: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  if (file === undefined) throw new Error("no file");
  const kv = await Deno.openKv(file.host);
  const bytes = values.map((value) => encoder.encode(value));
  const empty = new Uint8Array(0);
  const fail = (done: Done) => (error: unknown) =>
    done(error instanceof Error ? error.message : String(error));
  return {
    get: (_slot, key, done) => {
      kv.get([key]).then(
        ({ versionstamp }) => done(versionstamp === null ? "no such key" : undefined),
        fail(done),
      );
    },
    put: (_slot, key, value, done) => {
      kv.set([key], bytes[value] ?? empty).then(() => done(), fail(done));
    },
    close: () => kv.close(),
  };
}
