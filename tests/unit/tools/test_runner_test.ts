import { assertEquals } from "@std/assert";
import { parseSummary } from "../../../tools/test.ts";

const UNNAMED = "a test whose name deno test did not tell";

Deno.test("parseSummary: reads what deno test counted, and which tests it left out", () => {
  const table: [output: string, passed: number, failed: number, leftOut: string[]][] = [
    ["ok | 3 passed | 0 failed (5ms)", 3, 0, []],
    [
      "a ... ok (1ms)\nb c [left out: no d] ... ignored (0ms)\n\n" +
      "ok | 12 passed (4 steps) | 0 failed | 1 ignored (1s)\n",
      12,
      0,
      ["b c [left out: no d]"],
    ],
    ["ok | 1 passed | 0 failed | 1 ignored (1s)\n", 1, 0, [UNNAMED]],
    ["FAILED | 3 passed | 1 failed (2 steps) (5ms)\n", 3, 1, []],
    ["ok | 1 passed | 0 failed (1ms)\n\nFAILED | 5 passed | 2 failed (9ms)\n", 5, 2, []],
  ];
  for (const [output, passed, failed, leftOut] of table) {
    assertEquals(parseSummary(output), { passed, failed, leftOut, failures: "" }, output);
  }
  assertEquals(parseSummary("error: Type checking failed."), undefined);
});

Deno.test("parseSummary: keeps the errors of the tests that failed, and nothing after them", () => {
  const failures =
    " ERRORS \n\nb => ./b_test.ts:2:6\nerror: Error: not so\n\n FAILURES \n\nb => ./b_test.ts:2:6";
  const output =
    `a ... ok (1ms)\nb ... FAILED (1ms)\n\n${failures}\n\nFAILED | 1 passed | 1 failed (9ms)\n`;
  assertEquals(parseSummary(output)?.failures, failures.trim());
});
