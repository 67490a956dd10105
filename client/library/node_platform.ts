/**
 * The library's platform in Node and Bun.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import process from "node:process";
import { KvError, messageOf } from "../../shared/base/errors.ts";
import { codeOf } from "../../shared/platform/node/node_stream.ts";
import { NodeTransport } from "../../shared/platform/node/node_transport.ts";
import type { ClientPlatform } from "./platform.ts";

/** See the top of this file. */
export const NODE_PLATFORM: ClientPlatform = {
  transport: (authority) => new NodeTransport(authority),
  environment: (name) => process.env[name],
  async readTextFileIfThere(path) {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw new KvError(
        "bad_config",
        `${path} is there and cannot be read (${messageOf(error)}); correct its owner or ` +
          "permissions, or remove it",
        { cause: error },
      );
    }
  },
  networkInterfaces() {
    return Object.values(networkInterfaces()).flat().flatMap((one) =>
      one?.family === "IPv4" ? [{ address: one.address, netmask: one.netmask }] : []
    );
  },
};
