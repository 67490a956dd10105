/**
 * The library's platform in Deno. What the program may not read counts as not there, so that the library asks for no
 * more permissions than its user wants to give.
 *
 * @module
 */
import { networkInterfaces } from "../../shared/platform/deno/deno_network_interfaces.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import { readTextFileIfThere } from "../../shared/platform/deno/file_text.ts";
import type { ClientPlatform } from "./platform.ts";

/** See the top of this file. */
export const DENO_PLATFORM: ClientPlatform = {
  transport: (authority) => new DenoTransport(undefined, { authority }),
  environment(name) {
    try {
      return Deno.env.get(name);
    } catch (error) {
      if (isDenied(error)) return undefined;
      throw error;
    }
  },
  readTextFileIfThere,
  networkInterfaces,
};

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable;
}
