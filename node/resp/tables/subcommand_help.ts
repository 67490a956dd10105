/**
 * The subcommand HELP of every command that has subcommands, as in Redis. It is made from their rows, so it
 * cannot mention one that does not exist.
 *
 * @module
 */
import { command, type CommandSpec, NO_KEYS } from "../command/command.ts";

/** The command, with HELP among its subcommands if it has any. */
export function withHelp(spec: CommandSpec): CommandSpec {
  const { name, group, subcommands } = spec;
  if (subcommands === undefined) return spec;
  const about = { group, since: "5.0.0", summary: "Print this help" };
  const all: CommandSpec[] = [
    ...subcommands,
    command(`${name}|help`, 2, "loading stale", NO_KEYS, about, {
      kind: "now",
      run(_args, { out }) {
        const lines = helpLines(name, all);
        out.array(lines.length);
        for (const line of lines) out.simple(line);
      },
    }),
  ];
  return { ...spec, subcommands: all };
}

function helpLines(name: string, subcommands: readonly CommandSpec[]): string[] {
  return [
    `${name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...subcommands.flatMap(({ name, arity, keys, summary }) => {
      const word = name.slice(name.indexOf("|") + 1).toUpperCase();
      const more = arity < 0 || arity > 2 ? keys[0] === 2 ? " <key>" : " <arg> ..." : "";
      return [`${word}${more}`, `    ${summary}.`];
    }),
  ];
}
