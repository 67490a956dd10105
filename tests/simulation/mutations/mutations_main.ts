/**
 * The checkers, checked: every seeded bug of `mutations.ts` must be found within its number of seeds, but for
 * those that are said to be harmless, which no seed may find.
 * A seed that fails with the code as it is proves nothing and is passed over; it is reported.
 *
 *     deno task sim:mutations [--from 1] [--jobs 2] [--remember] [WORDS OF A NAME…]
 *
 * The seed that has found a mistake before, of `found_seeds.json`, is tried first; `--remember` writes those of this run
 * there, and `--from` leaves the file aside.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { showUsage } from "../../../tools/usage.ts";
import { MUTATIONS } from "./mutations.ts";
import { REGISTER_MUTATIONS } from "./register_mutations.ts";
import { findMutation, type Unseeded } from "./mutation_run.ts";

const USAGE =
  "usage: deno task sim:mutations [--from 1] [--jobs 2] [--remember] [WORDS OF A NAME…]";
const KNOWN_FILE = new URL("found_seeds.json", import.meta.url);

async function main(args: string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const flags = parseArgs(args, {
    string: ["from", "jobs"],
    boolean: ["remember"],
    default: { jobs: "2" },
  });
  const from = Number(flags.from ?? "1");
  const known: Record<string, number> = JSON.parse(await Deno.readTextFile(KNOWN_FILE));
  const words = flags._.map(String);
  const chosen = [...MUTATIONS, ...REGISTER_MUTATIONS].filter(({ name }) =>
    words.every((word) => name.includes(word))
  );
  if (chosen.length === 0) {
    console.error(`no seeded bug has ${words.join(" ")} in its name`);
    return 2;
  }
  let missed = 0;
  const rows = new Map<string, string>();
  const unseeded: Unseeded = new Map();
  const queue = [...chosen];
  const work = async () => {
    for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
      const { name, seedsMax, harmless, test } = mutation;
      const storm = test === undefined ? mutation.storm ?? "all kinds" : `test: ${test}`;
      let result;
      try {
        const seed = flags.from === undefined ? known[name] : undefined;
        result = await findMutation(mutation, from, unseeded, seed);
      } catch (error) {
        missed++;
        console.log(`MISSED  ${error instanceof Error ? error.message : error}`);
        continue;
      }
      const { foundAfter, what, elapsedMs } = result;
      if (foundAfter !== undefined && test === undefined) known[name] = from + foundAfter - 1;
      rows.set(name, `| ${name} | ${storm} | ${seedsMax} | ${foundAfter ?? "-"} |`);
      const seconds = (elapsedMs / 1000).toFixed(0);
      if (harmless !== undefined && foundAfter === undefined) {
        console.log(`passed  ${name}: ${seedsMax} seeds, as it should (${seconds} s)`);
        console.log(`        ${harmless}`);
      } else if (harmless !== undefined) {
        missed++;
        console.log(`REFUTED ${name}: seed ${from + (foundAfter ?? 0) - 1} fails (${seconds} s)`);
        console.log(`        ${what}`);
      } else if (foundAfter === undefined) {
        missed++;
        console.log(`MISSED  ${name}: ${seedsMax} seeds passed (${seconds} s)`);
      } else {
        const first = what?.split("\n")[0] ?? "";
        console.log(`found   ${name}: after ${foundAfter} of ${seedsMax} seeds (${seconds} s)`);
        console.log(`        ${first.slice(0, 160)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: Number(flags.jobs) }, work));
  if (flags.remember) {
    // The first seed is tried first in any case.
    const names = Object.keys(known).filter((name) => known[name] !== 1).toSorted();
    const text = JSON.stringify(
      Object.fromEntries(names.map((name) => [name, known[name]])),
      null,
      2,
    );
    await Deno.writeTextFile(KNOWN_FILE, `${text}\n`);
  }
  console.log(
    `${
      chosen.length - missed
    } of ${chosen.length} seeded bugs found, or harmless as they should be`,
  );
  // For docs/testing.md.
  for (const { name } of chosen) if (rows.has(name)) console.log(rows.get(name));
  const own = [...unseeded].flatMap(([seed, what]) => what === undefined ? [] : [{ seed, what }]);
  for (const { seed, what } of own) {
    console.log(`seed ${seed} fails with the code as it is: ${what.split("\n")[0]}`);
  }
  return missed + own.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
