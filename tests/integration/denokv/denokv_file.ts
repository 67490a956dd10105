/**
 * Run by `denokv_test.ts`: makes a file of Deno KV (`make FILE`), or compares two databases (`compare A B`): the same entries in
 * the same order.
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import { assertEquals } from "@std/assert";

const [what, ...paths] = Deno.args;
const databases = await Promise.all(paths.map((path) => Deno.openKv(path)));
if (what === "make") {
  for (const kv of databases) await fill(kv);
} else {
  const [one = [], other] = await Promise.all(databases.map(entries));
  assertEquals(one.length, 1_206);
  assertEquals(one, other);
}
for (const kv of databases) kv.close();

async function fill(kv: Deno.Kv): Promise<void> {
  await kv.set(["text"], "Zo\u00eb");
  await kv.set(["object", 1n, true], { list: [1, new Date(7)], map: new Map([["k", 1]]) });
  await kv.set(["bytes", new Uint8Array([255, 0])], new Uint8Array([1, 0, 255]));
  await kv.set(["empty"], new Uint8Array());
  await kv.set(["number"], new Deno.KvU64(2n ** 63n));
  await kv.set(["expires"], 1, { expireIn: 86_400_000 });
  for (let i = 0; i < 1_200; i++) await kv.set(["row", i], i);
  await kv.enqueue("left behind");
}

async function entries(kv: Deno.Kv): Promise<[Deno.KvKey, unknown][]> {
  const found: [Deno.KvKey, unknown][] = [];
  for await (const { key, value } of kv.list({ prefix: [] })) found.push([key, value]);
  return found;
}
