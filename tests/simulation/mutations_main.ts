/**
 * The checkers, checked: every seeded bug of `mutations.ts` must be found within its number of seeds,
 * and the code as it is must pass the same seeds.
 *
 *     deno task sim:mutations [--from 1] [--jobs 2] [WORDS OF A NAME…]
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { MUTATIONS } from "./mutations.ts";
import { runMutation } from "./mutation_run.ts";

async function main(args: string[]): Promise<number> {
  const flags = parseArgs(args, { string: ["from", "jobs"], default: { from: "1", jobs: "2" } });
  const from = Number(flags.from);
  const words = flags._.map(String);
  const chosen = MUTATIONS.filter(({ name }) => words.every((word) => name.includes(word)));
  if (chosen.length === 0) {
    console.error(`no seeded bug has ${words.join(" ")} in its name`);
    return 2;
  }
  let missed = 0;
  const queue = [...chosen];
  const work = async () => {
    for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
      const { name, seedsMax } = mutation;
      const { foundAfter, what, elapsedMs } = await runMutation(mutation, from, seedsMax);
      const seconds = (elapsedMs / 1000).toFixed(0);
      if (foundAfter === undefined) {
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
  console.log(`${chosen.length - missed} of ${chosen.length} seeded bugs found`);
  const seeds = Math.max(...chosen.map(({ seedsMax }) => seedsMax));
  const control = await runMutation(undefined, from, Math.min(seeds, 20));
  if (control.foundAfter !== undefined) {
    console.log(`and one that nobody seeded, in seed ${from + control.foundAfter - 1}:`);
    console.log(control.what);
    return 1;
  }
  return missed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
