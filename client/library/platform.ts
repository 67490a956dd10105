/**
 * What the library needs of the runtime that it is in. `current_platform.ts` finds out which one that is.
 *
 * @module
 */
import type { NetworkInterface } from "../../shared/platform/network_interface.ts";
import type { Transport } from "../../shared/platform/transport.ts";

/** Network, environment and files of a runtime. */
export interface ClientPlatform {
  /** @param authority whoever answers must have a certificate of it (PEM); without one nothing is encrypted */
  transport(authority: string | undefined): Transport;
  /** A variable of the environment, or undefined if it is not set or may not be read. */
  environment(name: string): string | undefined;
  /**
   * The text of a file, or undefined if there is none, or none that may be read.
   *
   * @throws {KvError} `bad_config` if it exists and cannot be read
   */
  readTextFileIfThere(path: string): Promise<string | undefined>;
  networkInterfaces(): NetworkInterface[];
}
