/**
 * The texts of `help`: the list of commands, and one command with its arguments, options, units, defaults
 * and an example, all from the table. Pure.
 *
 * @module
 */
import { wordPlaceholder } from "../../../shared/arguments/field_text.ts";
import { flagOf } from "../../../shared/program/setting.ts";
import type { WordField } from "../../../shared/arguments/word_fields.ts";
import { type Command, commandSummary, type OptionTable } from "./command.ts";

/** One line for each command. */
export function commandLines(commands: Iterable<Command>): string[] {
  const list = [...commands];
  const width = Math.max(...list.map((command) => commandSummary(command).length));
  return list.map((command) => `${commandSummary(command).padEnd(width)}  ${command.help}`);
}

/** Everything about one command. */
export function commandHelp(command: Command, options: OptionTable): string {
  const { aliases = [], own = [], answers, example } = command;
  const rows = [...own.map(ownRow), ...command.options.map((name) => settingRow(name, options))];
  const args = command.arguments.flatMap(({ name, about }): [string, string][] =>
    about === undefined ? [] : [[name, about]]
  );
  const width = Math.max(0, ...[...args, ...rows].map(([label]) => label.length));
  const line = ([label, about]: [string, string]) => `  ${label.padEnd(width)}  ${about}`;
  return [
    `${commandSummary(command)}: ${command.help}`,
    ...(answers === undefined ? [] : [`answers: ${answers}`]),
    ...(aliases.length === 0 ? [] : [`also: ${aliases.join(", ")}`]),
    ...(args.length === 0 ? [] : ["arguments:"]),
    ...args.map(line),
    ...(rows.length === 0 ? [] : ["options:"]),
    ...rows.map(line),
    ...(example === undefined ? [] : [`example: ${example}`]),
    "",
  ].join("\n");
}

function ownRow({ field, optionNames }: WordField): [label: string, about: string] {
  const placeholder = wordPlaceholder(field);
  const { summary = "", unit, fallback } = field.about ?? {};
  const label = `--${optionNames.at(-1)}${placeholder === "" ? "" : ` ${placeholder}`}`;
  const first = optionNames.length > 1 ? `, or --${optionNames[0]} in ${unit}` : "";
  const facts = [
    ...(unit === undefined || optionNames.length > 1 || field.form === "date" ? [] : [unit]),
    ...(fallback === undefined || field.form === "flag" ? [] : [`default ${fallback}`]),
  ];
  return [label, `${summary}${first}${facts.length === 0 ? "" : ` [${facts.join("; ")}]`}`];
}

function settingRow(
  name: Command["options"][number],
  options: OptionTable,
): [label: string, about: string] {
  const { help, placeholder, fallbackText } = options[name];
  const fallback = fallbackText === undefined ? "" : ` [default ${fallbackText}]`;
  return [`--${flagOf(name)} ${placeholder}`.trimEnd(), help.replace(/\.$/, "") + fallback];
}
