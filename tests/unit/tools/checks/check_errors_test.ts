import { assertEquals, assertMatch } from "@std/assert";
import { checkErrors } from "../../../../tools/checks/check_errors.ts";

Deno.test("checkErrors: only shared/base/errors.ts decides what an error is", () => {
  const table: [file: string, source: string, what: RegExp | undefined][] = [
    ["node/a.ts", "const { code } = toKvError(error);", /call failureOf/],
    ["node/a.ts", "if (error instanceof TypeError) return;", /isDefect/],
    ["node/a.ts", 'if (failure.code !== "corrupt") return;', /isDamage/],
    ["shared/base/errors.ts", "error instanceof RangeError", undefined],
    ["client/main.ts", "const error = toKvError(thrown);", undefined],
    ["node/a.ts", "// instanceof InvariantError\nconst { code } = failureOf(error);", undefined],
  ];
  for (const [file, source, what] of table) {
    const found = checkErrors(file, source).map((breach) => breach.what).join();
    if (what === undefined) assertEquals(found, "", source);
    else assertMatch(found, what, source);
  }
});
