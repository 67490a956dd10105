/**
 * Arguments that are not what was typed. A process's arguments are bytes; Deno hands them over as text,
 * with U+FFFD wherever they were not UTF-8, and nothing that the program may look at tells which bytes
 * those were, or whether somebody meant this very character. To go on would write another key or value
 * than the one that was given, and the same one for many different ones.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";

const REPLACEMENT = "\ufffd";

/** @throws {KvError} `bad_request` where an argument may not be what was given */
export function refuseLostBytes(args: readonly string[]): void {
  const lost = args.find((arg) => arg.includes(REPLACEMENT));
  if (lost === undefined) return;
  throw new KvError(
    "bad_request",
    `the argument ${
      JSON.stringify(lost.slice(0, 64))
    } is not UTF-8, or has U+FFFD, which cannot be ` +
      "told from that; give bytes through standard input (put KEY -) or import, and this character " +
      "in a script or as --command 'PUT k \"\\u{fffd}\"'",
  );
}
