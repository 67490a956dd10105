/**
 * The crudest server of Deno KV: it keeps nothing and answers by the platform's own HTTP. What `Deno.openKv` reaches on it
 * is the most that it reaches on any server. With a file, it first writes what came together, with one sync.
 *
 *     deno run -A denokv_stub.ts [FILE]
 *
 * @module
 */
import { joinBytes } from "../../shared/base/join_bytes.ts";

/** AtomicWriteOutput: success, and a versionstamp. */
const WRITTEN = Uint8Array.of(0x08, 1, 0x12, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0);
const ID = "00000000-0000-4000-8000-000000000000";
const [path] = Deno.args;
const file = path === undefined ? undefined : Deno.openSync(path, { write: true, create: true });
let waiting: { body: Uint8Array; done: () => void }[] = [];
let syncing = false;

/** Resolves when the body is on disk. */
function written(body: Uint8Array): Promise<void> {
  return new Promise((done) => {
    waiting.push({ body, done });
    if (!syncing) queueMicrotask(() => void writeAll());
  });
}

async function writeAll(): Promise<void> {
  if (syncing || file === undefined) return;
  syncing = true;
  while (waiting.length > 0) {
    const batch = waiting;
    waiting = [];
    file.writeSync(joinBytes(batch.map(({ body }) => body)));
    await file.syncData();
    for (const { done } of batch) done();
  }
  syncing = false;
}

const onListen = ({ port }: { port: number }) => console.log(JSON.stringify({ port }));
Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, async (request) => {
  const body = await request.bytes();
  if (!request.url.endsWith("/atomic_write")) {
    return Response.json({
      version: 3,
      databaseId: ID,
      endpoints: [{ url: "./stub", consistency: "strong" }],
      token: "none",
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    });
  }
  if (file !== undefined) await written(body);
  return new Response(WRITTEN, { headers: { "content-type": "application/x-protobuf" } });
});
