/**
 * The answers to a command, or a subcommand, that is not in the table, in Redis's own words.
 *
 * @module
 */
import { textOf } from "./arguments.ts";
import type { Arguments, CommandSpec } from "./command.ts";

const SHOWN_CHARACTERS = 128;

/** As Redis says it: with the first arguments. */
export function unknownCommandText(args: Arguments): string {
  const [name, ...rest] = args.map((argument) => textOf(argument.subarray(0, SHOWN_CHARACTERS)));
  let shown = "";
  for (const argument of rest) {
    if (shown.length >= SHOWN_CHARACTERS) break;
    shown += `'${argument.slice(0, SHOWN_CHARACTERS - shown.length)}' `;
  }
  return `ERR unknown command '${name}', with args beginning with: ${shown}`;
}

export function unknownSubcommandText(spec: CommandSpec, given: Uint8Array): string {
  const name = textOf(given.subarray(0, SHOWN_CHARACTERS));
  return `ERR unknown subcommand '${name}'. Try ${spec.name.toUpperCase()} HELP.`;
}
