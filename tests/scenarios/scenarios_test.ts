import { assert, assertEquals } from "@std/assert";
import { parseScenario, runScenario } from "./scenario.ts";
import { scenarioFiles } from "./scenario_files.ts";

for (const file of await scenarioFiles()) {
  const name = file.slice(file.lastIndexOf("/") + 1, -".txt".length).replaceAll("_", " ");
  Deno.test(`replication scenario: ${name}`, async () => {
    const scenario = parseScenario(await Deno.readTextFile(file));
    assert(scenario.rules.length > 0, `${file} says with "# rules:" which rules it shows`);
    const results = await runScenario(scenario);
    scenario.steps.forEach(({ line, command, expected }, i) => {
      assertEquals(
        results[i],
        expected,
        `${file}:${line}: > ${command} (deno task scenarios --rewrite writes what came of it)`,
      );
    });
  });
}
