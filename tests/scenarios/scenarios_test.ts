import { assert, assertEquals } from "@std/assert";
import { parseScenario, runScenario } from "./scenario.ts";
import { scenarioFiles, stageFor } from "./scenario_files.ts";

for (const file of await scenarioFiles()) {
  const [folder, name = ""] = file.split("/").slice(-2);
  const story = name.slice(0, -".txt".length).replaceAll("_", " ");
  Deno.test(`${folder} scenario: ${story}`, async () => {
    const scenario = parseScenario(await Deno.readTextFile(file));
    assert(scenario.rules.length > 0, `${file} says with "# rules:" which rules it shows`);
    const results = await runScenario(scenario, stageFor(file));
    scenario.steps.forEach(({ line, command, expected }, i) => {
      assertEquals(
        results[i],
        expected,
        `${file}:${line}: > ${command} (deno task scenarios --rewrite writes what came of it)`,
      );
    });
  });
}
