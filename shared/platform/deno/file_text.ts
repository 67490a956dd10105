/**
 * Small text files that may be missing.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";

/**
 * The text of a file, or undefined if there is none. A file that Deno does not permit the program to
 * look at counts as missing: a user of the library who gives no permission wants no file to be read.
 *
 * @throws {KvError} `bad_config` if it exists and cannot be read: its content must not be ignored
 */
export async function readTextFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return undefined;
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new KvError(
      "bad_config",
      `${path} is there and cannot be read (${reason.replace(/ \(os error \d+\).*$/s, "")}); ` +
        "correct its owner or permissions, or remove it",
      { cause: error },
    );
  }
}
