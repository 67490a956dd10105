/**
 * The file `cs_config.txt` in the working folder, by which programs that start there find the
 * coordinator. It is this process's for as long as it names its address: another coordinator that
 * is started in the same folder takes it over, and neither ends with the other's file.
 *
 * @module
 */
import {
  CS_CONFIG_FILE,
  formatCsConfig,
  parseCsConfig,
} from "../../shared/discovery/coordinator_address.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";

/** Where a new version is written before it replaces the old one, so that nobody reads half of it. */
export const CS_CONFIG_BESIDE = `${CS_CONFIG_FILE}.new`;

/** Writes the file. A folder that cannot be written is no reason not to serve. */
export async function writeCsConfig(
  address: Address,
  others: readonly Address[],
  log: Logger,
): Promise<void> {
  try {
    const before = await readCsConfig();
    const text = formatCsConfig(address, others);
    if (before === text) return;
    await Deno.writeTextFile(CS_CONFIG_BESIDE, text);
    await Deno.rename(CS_CONFIG_BESIDE, CS_CONFIG_FILE);
    if (before === undefined || isOf(before, address)) return;
    log.warn(`${CS_CONFIG_FILE} in the working folder named another coordinator; overwritten`, {
      named: addressText(before),
      names: formatAddress(address),
      remedy: "where several coordinators share a folder, all but one need --no-cs-config",
    });
  } catch (error) {
    const reason = reasonOf(error);
    log.warn(`cannot write ${CS_CONFIG_FILE}; nodes and clients need --coordinator`, { reason });
  }
}

/**
 * Removes the file if it still names this address. To be called while the address is still
 * listened on: later it may be somebody else's, and the file with it.
 */
export async function removeCsConfig(address: Address, log: Logger): Promise<void> {
  try {
    const text = await readCsConfig();
    if (text !== undefined && isOf(text, address)) await Deno.remove(CS_CONFIG_FILE);
  } catch (error) {
    log.warn(`cannot remove ${CS_CONFIG_FILE}`, { reason: reasonOf(error) });
  }
}

async function readCsConfig(): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(CS_CONFIG_FILE);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether a coordinator at this address has written the file. */
function isOf(text: string, address: Address): boolean {
  return text.startsWith(formatCsConfig(address));
}

/** Somebody may have written anything there. */
function addressText(text: string): string {
  try {
    return parseCsConfig(text).map(formatAddress).join(", ");
  } catch {
    return "no address";
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
