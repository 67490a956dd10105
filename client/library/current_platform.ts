/**
 * The platform of this process. A runtime's file is loaded when a program connects, so that no other runtime ever sees it.
 *
 * @module
 */
import type { ClientPlatform } from "./platform.ts";

/** That of this process. */
export async function clientPlatform(): Promise<ClientPlatform> {
  const { Deno } = globalThis as { Deno?: { version?: object } };
  if (Deno?.version !== undefined) return (await import("./deno_platform.ts")).DENO_PLATFORM;
  return (await import("./node_platform.ts")).NODE_PLATFORM;
}
