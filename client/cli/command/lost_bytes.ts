/**
 * Arguments that differ from what was typed. A process's arguments are bytes. Deno passes them on as text,
 * with U+FFFD wherever they were not UTF-8, and the program cannot find out which bytes those were, or
 * whether the user meant this very character. To go on would write another key or value than the given one,
 * and the same one for many different ones.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";

const REPLACEMENT = "\ufffd";

/** @throws {KvError} `bad_request` if an argument may differ from what was typed */
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
