import { assertEquals } from "@std/assert";
import { parseSummary } from "../../../tools/test.ts";

Deno.test("parseSummary: reads what deno test counted", () => {
  const table: [output: string, passed: number, failed: number, ignored: number][] = [
    ["ok | 3 passed | 0 failed (5ms)", 3, 0, 0],
    ["a ... ok (1ms)\n\nok | 12 passed (4 steps) | 0 failed | 2 ignored (1s)\n", 12, 0, 2],
    ["FAILED | 3 passed | 1 failed (2 steps) (5ms)\n", 3, 1, 0],
    ["ok | 1 passed | 0 failed (1ms)\n\nFAILED | 5 passed | 2 failed (9ms)\n", 5, 2, 0],
  ];
  for (const [output, passed, failed, ignored] of table) {
    assertEquals(parseSummary(output), { passed, failed, ignored }, output);
  }
  assertEquals(parseSummary("error: Type checking failed."), undefined);
});
