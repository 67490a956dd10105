/**
 * Bundled and run in Node and in Bun by `denokv_test.ts`: the uses of Deno KV with `openKv` of npm's `@deno/kv`. Bun's own
 * serializer is not V8's, and the package wants another one there: JSON does for these values.
 *
 * @module
 */
import { openKv } from "@deno/kv";
import assert from "node:assert/strict";
import process from "node:process";
import { useDenoKv } from "./denokv_uses.ts";

const [, , url = ""] = process.argv;
const json = {
  encodeV8: (value: unknown) => new TextEncoder().encode(JSON.stringify(value)),
  decodeV8: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)),
};
const options = { accessToken: "any", ...(process.versions.bun === undefined ? {} : json) };
await useDenoKv(async () => await openKv(url, options) as unknown as Deno.Kv);
// Older clients know older versions of the protocol alone.
for (const version of [1, 2]) {
  const kv = await openKv(url, { ...options, supportedVersions: [version] });
  const key = ["version", version];
  const { versionstamp } = await kv.set(key, version);
  const done = await kv.atomic().check({ key, versionstamp }).sum(["sum", version], 1n).commit();
  assert.ok(done.ok);
  const found = [];
  for await (const { value } of kv.list({ prefix: ["version"] })) found.push(value);
  assert.deepEqual(found, [1, 2].slice(0, version));
  kv.close();
}
