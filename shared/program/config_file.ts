/**
 * Settings from a YAML file: one document, a mapping of flags without their dashes to values.
 *
 * @module
 */
import { loadAll } from "js-yaml";
import { nearest } from "./near_miss.ts";
import type { CommandLine } from "./command_line.ts";
import { badConfig, type Given } from "./given_value.ts";
import { flagOf } from "./setting.ts";

/** Settings by their name in code. @param readFile throws if it cannot @throws {KvError} `bad_config` */
export function readFileSettings(
  program: CommandLine,
  path: string | undefined,
  readFile: (path: string) => string,
): Map<string, Given> {
  const found = new Map<string, Given>();
  if (path === undefined || path === "") return found;
  const document = parseFile(path, readFile);
  if (document === null || document === undefined) return found;
  if (typeof document !== "object" || Array.isArray(document)) {
    throw badConfig(`${path}: expected a mapping of settings to values, such as "port: 8080"`);
  }
  const names = new Map(Object.keys(program.settings).map((name) => [flagOf(name), name]));
  for (const [key, text] of Object.entries(document)) {
    const name = names.get(key);
    if (name === undefined) {
      const near = nearest(key, [...names.keys()]);
      throw badConfig(
        `${path}: unknown setting ${JSON.stringify(key)}; ${
          near === undefined ? "" : `did you mean ${JSON.stringify(near)}? `
        }Keys are the flags of ${program.name} --help without the dashes`,
      );
    }
    if (text !== null) found.set(name, { source: "file", text, place: `${path}: ${key}` });
  }
  return found;
}

function parseFile(path: string, readFile: (path: string) => string): unknown {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    throw badConfig(
      `cannot read the configuration file ${path} (${reasonOf(error)}); check the path of --config`,
      error,
    );
  }
  let documents: unknown[];
  try {
    documents = loadAll(text);
  } catch (error) {
    throw badConfig(`${path} is not YAML: ${reasonOf(error)}`, error);
  }
  if (documents.length > 1) {
    throw badConfig(
      `${path} has ${documents.length} YAML documents, and only one is read; put all settings into ` +
        'one, without a line "---" between them',
    );
  }
  return documents[0];
}

/** An error's first line. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split("\n")[0] ?? text).replace(/:$/, "");
}
