/**
 * The first line of a script that begins with `#!`, as Redis 7 has it: the engine, and flags. Of the flags only `no-writes`
 * means something here; the others allow what nobody forbids.
 *
 * @module
 */
import { CommandError } from "../command/command.ts";

const FLAGS: ReadonlySet<string> = new Set([
  "no-writes",
  "allow-oom",
  "allow-stale",
  "no-cluster",
  "allow-cross-slot-keys",
]);
const [HASH, BANG, NEWLINE] = [0x23, 0x21, 0x0a];
const decoder = new TextDecoder();

/** The script without that line, of which the line break stays so that lines keep their numbers. @throws {CommandError} */
export function withoutShebang(text: Uint8Array): { text: Uint8Array; mayWrite: boolean } {
  if (text[0] !== HASH || text[1] !== BANG) return { text, mayWrite: true };
  const end = text.indexOf(NEWLINE);
  if (end < 0) throw new CommandError("ERR Invalid script shebang");
  const [engine, ...options] = decoder.decode(text.subarray(0, end)).trim().split(/\s+/);
  if (engine !== "#!lua") {
    throw new CommandError(`ERR Unexpected engine in script shebang: ${engine}`);
  }
  const flags = options.flatMap((option) => {
    if (option.startsWith("flags=")) return option.slice("flags=".length).split(",");
    throw new CommandError(`ERR Unknown lua shebang option: ${option}`);
  }).filter((flag) => flag !== "");
  const unknown = flags.find((flag) => !FLAGS.has(flag));
  if (unknown !== undefined) {
    throw new CommandError(`ERR Unexpected flag in script shebang: ${unknown}`);
  }
  return { text: text.subarray(end), mayWrite: !flags.includes("no-writes") };
}
