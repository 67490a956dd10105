/**
 * Sends hostile input to every front end of real processes, for as long as is asked for.
 *
 *     deno task fuzz [--minutes 2] [--seed N] [--front-end NAME]
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { showUsage } from "../../tools/usage.ts";
import { ATTACKS, fuzz } from "./fuzz.ts";
import { Finding, Target } from "./target.ts";

/** One front end's turn. */
const CASES = 100;

async function main(args: readonly string[]): Promise<number> {
  const names = ATTACKS.map(({ name }) => name);
  if (
    showUsage(
      args,
      `usage: deno task fuzz [--minutes 2] [--seed N] [--front-end ${names.join("|")}]`,
    )
  ) {
    return 0;
  }
  const flags = parseArgs([...args], { string: ["minutes", "seed", "front-end"] });
  const attacks = ATTACKS.filter(({ name }) =>
    flags["front-end"] === undefined || name === flags["front-end"]
  );
  if (attacks.length === 0) {
    console.error(`no front end ${flags["front-end"]}; there are ${names.join(", ")}`);
    return 2;
  }
  const endMs = performance.now() + Number(flags.minutes ?? "2") * 60_000;
  let seed = flags.seed === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 1
    : Number(flags.seed);
  let cases = 0;
  let findings = 0;
  await using target = await Target.start();
  for (let i = 0; performance.now() < endMs; i++) {
    const attack = attacks[i % attacks.length];
    if (attack === undefined) break;
    try {
      cases += CASES;
      await fuzz(target, attack, { seed: seed++, cases: CASES });
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      findings++;
      console.error(error.message);
    }
  }
  console.log(`${cases} cases, ${findings} findings`);
  return findings > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
