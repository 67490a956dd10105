/** Bundled and run in Node by `denokv_test.ts`: the uses of Deno KV with `openKv` of npm's `@deno/kv`. */
import { openKv } from "@deno/kv";
import process from "node:process";
import { useDenoKv } from "./denokv_uses.ts";

const [, , url = ""] = process.argv;
await useDenoKv(async () => await openKv(url, { accessToken: "any" }) as unknown as Deno.Kv);
