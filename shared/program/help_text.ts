/** The text of `--help`, made from a program's table of settings. @module */
import type { CommandLine } from "./command_line.ts";
import { envOf } from "./config.ts";
import { flagOf, type Setting } from "./setting.ts";
import { VERSION } from "../base/version.ts";

const COLUMNS = 96;
const INDENT = "      ";

/** All of a program's help. */
export function helpText(program: CommandLine): string {
  const forms = program.usage.map((form, i) =>
    `${i === 0 ? "Usage: " : "       "}${program.name} ${form}`.trimEnd()
  );
  const settings = Object.entries(program.settings)
    .flatMap(([name, setting]) => settingLines(name, setting));
  return [
    `${program.name} ${VERSION}: ${program.summary}`,
    "",
    ...forms,
    "",
    "A flag overrides its environment variable, that the YAML file (its keys are the flags without",
    "the dashes), and that the default.",
    "",
    ...settings,
    "  --config FILE",
    ...wrap("A YAML file with settings. [KV_CONFIG]"),
    "  --help, --version",
    ...(program.notes === undefined ? [] : ["", ...program.notes]),
  ].join("\n");
}

function settingLines(name: string, setting: Setting<unknown>): string[] {
  const facts = [
    ...(setting.fallbackText === undefined ? [] : [`default ${setting.fallbackText}`]),
    ...(/ from .* to /.test(setting.requires) ? [setting.requires] : []),
    envOf(name),
  ];
  return [
    `  --${flagOf(name)} ${setting.placeholder}`.trimEnd(),
    ...wrap(`${setting.help} [${facts.join("; ")}]`),
  ];
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && INDENT.length + line.length + 1 + word.length > COLUMNS) {
      lines.push(INDENT + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(INDENT + line);
  return lines;
}
