/**
 * Checks that one place decides what an exception is: a defect of ours, which ends the process; damage,
 * for which a replica is replaced; or a failure with a code, which is reported (`shared/base/errors.ts`:
 * `isDefect`, `isDamage`, `failureOf`). A second place would sooner or later decide differently.
 *
 * @module
 */
import { type Breach, sourceFiles, TEXTS, withoutComments } from "./check_imports.ts";

const FOLDERS = ["shared", "coordinator", "node", "client"] as const;
const HOME = "shared/base/errors.ts";

/** What only {@linkcode HOME} may do, and the exceptions. */
interface Rule {
  readonly pattern: RegExp;
  readonly allowed: RegExp;
  readonly advice: string;
}

const RULES: readonly Rule[] = [
  {
    pattern: /\btoKvError\b/,
    // An error leaves our code here: no state of a server lives on, or the process is ending.
    allowed: /^client\/|^shared\/http\/front_end\.ts$/,
    advice: "takes a defect for a failure: call failureOf, which throws it again",
  },
  {
    pattern: /instanceof (?:Invariant|Type|Range|Reference|Syntax)Error\b/,
    allowed: /^$/,
    advice: "decides for itself what a defect is: call failureOf or isDefect",
  },
  {
    pattern: /\bcode [!=]== "corrupt"/,
    allowed: /^(client|coordinator)\//,
    advice: "decides for itself what damage is: call isDamage",
  },
];

/** Where a file decides what only {@linkcode HOME} decides. */
export function checkErrors(file: string, source: string): Breach[] {
  if (file === HOME || TEXTS.includes(file)) return [];
  const code = withoutComments(source);
  return RULES.flatMap(({ pattern, allowed, advice }) => {
    const found = allowed.test(file) ? undefined : pattern.exec(code)?.[0];
    return found === undefined ? [] : [{ file, what: `(${found}) ${advice}` }];
  });
}

async function main(): Promise<number> {
  const breaches: Breach[] = [];
  let files = 0;
  for (const folder of FOLDERS) {
    for await (const file of sourceFiles(folder)) {
      files++;
      breaches.push(...checkErrors(file, await Deno.readTextFile(file)));
    }
  }
  for (const { file, what } of breaches) console.error(`${file} ${what}`);
  console.log(`${files} files, ${breaches.length} breaches`);
  return breaches.length === 0 && files > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
