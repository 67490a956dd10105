/**
 * The answers to a command, or a subcommand, that is not in the table, in Redis's own words.
 *
 * @module
 */
import { keyLength, keyOfBytes } from "../../../shared/base/key_text.ts";
import type { Arguments, CommandSpec } from "./command.ts";

const SHOWN_BYTES = 128;

/** As Redis says it: with the first arguments. */
export function unknownCommandText([name, ...rest]: Arguments): string {
  let shown = "";
  for (const argument of rest) {
    const left = SHOWN_BYTES - keyLength(shown);
    if (left <= 0) break;
    shown += `'${shownText(argument, left)}' `;
  }
  return `ERR unknown command '${shownText(name)}', with args beginning with: ${shown}`;
}

/** The beginning of an argument, up to a zero, with its bytes as those of a key. */
function shownText(argument: Uint8Array | undefined, bytesMax = SHOWN_BYTES): string {
  const begin = argument?.subarray(0, bytesMax) ?? new Uint8Array();
  const zero = begin.indexOf(0);
  return keyOfBytes(zero < 0 ? begin : begin.subarray(0, zero));
}

export function unknownSubcommandText(spec: CommandSpec, given: Uint8Array): string {
  const name = shownText(given);
  return `ERR unknown subcommand '${name}'. Try ${spec.name.toUpperCase()} HELP.`;
}
