/**
 * An on-off flag with a value was on, whatever the value: `--force=0`, `--rebuild=no`. Found by a review.
 */
import { assertEquals, assertThrows } from "@std/assert";
import { COORDINATOR_PROGRAM } from "../../coordinator/settings.ts";
import { NODE_PROGRAM } from "../../node/settings.ts";
import { loadConfig } from "../../shared/program/config.ts";

const input = (args: string[]) => ({ args, env: () => undefined, readFile: () => "" });

Deno.test("a flag's value means what it means in the environment", () => {
  for (
    const [flag, on] of [["--force=0", false], ["--force=1", true], ["--force", true]] as const
  ) {
    const loaded = loadConfig(COORDINATOR_PROGRAM, input([flag]));
    assertEquals(loaded.kind === "run" && loaded.values.force, on, flag);
  }
});

Deno.test("a flag's value that is neither on nor off is refused", () => {
  assertThrows(() => loadConfig(NODE_PROGRAM, input(["--rebuild=no"])));
});
