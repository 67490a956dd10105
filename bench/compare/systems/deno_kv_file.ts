/** Deno KV in a file, which whoever uses it opens in its own process. @module */
import type { System } from "./system.ts";

/** A file in this folder, which exists. */
export function denoKvFile(folder: string): System {
  return {
    name: "Deno KV",
    setup: "Deno KV, a file in the process that uses it; each commit is synced",
    processes: [],
    endpoints: [{ host: `${folder}/deno.kv`, port: 0 }],
    httpEndpoints: [],
  };
}
