/**
 * Bundled and run in Node by `denokv_test.ts`: the writer of `denokv_writer.ts` over npm's `@deno/kv`, which is given all nodes
 * by the `fetcher` of docs/deno-kv.md.
 *
 * @module
 */
import { openKv } from "@deno/kv";
import process from "node:process";
import { writeUntilEnd } from "./denokv_writer.ts";

const nodes = process.argv.slice(2);

let at = 0; // the node that answered last
async function fetcher(input: string | URL, init?: RequestInit): Promise<Response> {
  for (let failed = 0;; failed++) {
    try {
      return await fetch(new URL(new URL(input).pathname, nodes[at]), init);
    } catch (error) {
      if (failed === 50) throw error;
      at = (at + 1) % nodes.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
const kv = await openKv(`${nodes[0]}/db/app`, { accessToken: "any", fetcher: fetcher as never });
// An answer that is cut off in the middle is told to the program.
await writeUntilEnd(kv as unknown as Deno.Kv, true, (error) => error instanceof TypeError);
