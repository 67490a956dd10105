import { ATTACKS, fuzz } from "../../fuzz/fuzz.ts";
import { Target } from "../../fuzz/target.ts";

/** Of each front end. `deno task fuzz` tries others for as long as one likes. */
const CASES = 200;
const SEED = 20261129;

Deno.test("hostile input ends no process, is answered or cut off, and disturbs nobody else", async (t) => {
  await using target = await Target.start();
  for (const attack of ATTACKS) {
    await t.step(`${attack.name}: ${CASES} cases`, async () => {
      await fuzz(target, attack, { seed: SEED, cases: CASES });
    });
  }
});
