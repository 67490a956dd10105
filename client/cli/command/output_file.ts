/**
 * The file that a command writes (`backup`, `export`): an existing one is kept, unless `--overwrite` is given.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import { findOption, wordField } from "../../../shared/arguments/word_fields.ts";
import { type CommandContext, ownValues, type WholeFile } from "./command.ts";
import { systemReason } from "./output.ts";

/** The option of such a command. */
export const OVERWRITE = wordField(
  "overwrite",
  described("Replace an existing file", optional(flag), { fallback: "false" }),
);

/** Whether the line says so. @throws {KvError} `bad_request` */
export function mayOverwrite(command: string, { given }: CommandContext): boolean {
  const own = given.filter(([name]) => findOption([OVERWRITE], name) !== undefined);
  return ownValues(command, [OVERWRITE], own).overwrite === true;
}

/** @throws {KvError} `exists` if it exists and may not be replaced, `bad_request` if it cannot be written */
export async function createFile(
  command: string,
  path: string,
  context: CommandContext,
): Promise<WholeFile> {
  try {
    return await context.io.createWhole(path, mayOverwrite(command, context));
  } catch (cause) {
    if (cause instanceof KvError && cause.code === "exists") {
      const text = `${command}: ${cause.message}; --overwrite replaces it`;
      throw new KvError("exists", text, { cause });
    }
    const text = `${command}: cannot write ${path} (${systemReason(cause)})`;
    throw new KvError("bad_request", text, { cause });
  }
}
