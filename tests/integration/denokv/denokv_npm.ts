/**
 * Bundled and run in Node and in Bun by `denokv_test.ts`: the uses of Deno KV with `openKv` of npm's `@deno/kv`. Bun's own
 * serializer is not V8's, and the package wants another one there: JSON does for these values.
 *
 * @module
 */
import { openKv } from "@deno/kv";
import process from "node:process";
import { useDenoKv } from "./denokv_uses.ts";

const [, , url = ""] = process.argv;
const json = {
  encodeV8: (value: unknown) => new TextEncoder().encode(JSON.stringify(value)),
  decodeV8: (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)),
};
const options = { accessToken: "any", ...(process.versions.bun === undefined ? {} : json) };
await useDenoKv(async () => await openKv(url, options) as unknown as Deno.Kv);
