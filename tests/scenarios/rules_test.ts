/**
 * The rules of docs/replication.md, docs/transactions.md and docs/coordinators.md, where they are shown and where they are kept: each by a scenario (or by a
 * test that names it, "(rule D3)", if no scenario can show it) and at a place in the code that cites it,
 * "Rule W2."
 *
 * @module
 */
import { assertEquals, assertGreater } from "@std/assert";
import { parseScenario } from "./scenario.ts";
import { scenarioFiles } from "./scenario_files.ts";

/** A rule's definition: `**W1, order.**`, `**C3.**` */
const DEFINED = /^\*\*([A-Z]\d+)[.,]/gm;
/** "Rule W2.", "rules C1 and C2 of docs/replication.md". Rules of a file's own have no letter. */
const CITED = /\brules? ([A-Z]\d+(?:(?:, | and )[A-Z]\d+)*)/gi;
/** In the name of a test. */
const TESTED = /\(rule ([A-Z]\d+)\)"/g;

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* sources(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

async function readAll(folders: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const folder of folders) {
    for await (const path of sources(folder)) texts.set(path, await Deno.readTextFile(path));
  }
  return texts;
}

/** The rules that each file names. */
function citations(texts: ReadonlyMap<string, string>, pattern: RegExp): [string, string][] {
  return [...texts].flatMap(([path, text]) =>
    [...text.matchAll(pattern)].flatMap(([, rules = ""]) =>
      rules.split(/, | and /).map((rule): [string, string] => [path, rule])
    )
  );
}

const documents = await Promise.all(
  ["docs/replication.md", "docs/transactions.md", "docs/coordinators.md", "docs/watch.md"].map((
    path,
  ) => Deno.readTextFile(path)),
);
const defined = documents.flatMap((document) =>
  [...document.matchAll(DEFINED)].map(([, rule = ""]) => rule)
);

const shown: [string, string][] = [];
for (const file of await scenarioFiles()) {
  const { rules } = parseScenario(await Deno.readTextFile(file));
  for (const rule of rules) shown.push([file, rule]);
}
shown.push(...citations(await readAll(["tests/unit", "tests/regression"]), TESTED));
const kept = citations(await readAll(["coordinator", "node", "shared"]), CITED);

Deno.test("rules of the documents: each has a number of its own", () => {
  assertGreater(defined.length, 20);
  assertEquals(defined.filter((rule, i) => defined.indexOf(rule) !== i), []);
});

Deno.test("rules of the documents: each is shown by a scenario, or by a test that names it", () => {
  const known = new Set(shown.map(([, rule]) => rule));
  assertEquals(defined.filter((rule) => !known.has(rule)), []);
});

Deno.test("rules of the documents: each is cited by the code that keeps it", () => {
  const known = new Set(kept.map(([, rule]) => rule));
  assertEquals(defined.filter((rule) => !known.has(rule)), []);
});

Deno.test("rules of the documents: nothing cites a rule that there is not", () => {
  const known = new Set(defined);
  assertEquals([...shown, ...kept].filter(([, rule]) => !known.has(rule)), []);
});
