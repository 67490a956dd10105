import { assertEquals, assertStringIncludes } from "@std/assert";

const PROGRAM = new URL("../../../shared/program/program.ts", import.meta.url).href;

Deno.test("exitOnDefect ends the process with code 70 and a stack trace", async () => {
  const cases = [
    'setTimeout(() => { throw new Error("boom"); });',
    'setTimeout(() => { Promise.reject(new Error("boom")); });',
    'queueMicrotask(() => { throw new Error("boom"); });',
  ];
  for (const defect of cases) {
    const code = `import { exitOnDefect } from "${PROGRAM}"; exitOnDefect("kv-test"); ` +
      `setInterval(() => {}, 1000); ${defect}`;
    const output = await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
    const said = new TextDecoder().decode(output.stderr);
    assertEquals(output.code, 70, said);
    assertStringIncludes(said, "kv-test: internal error");
    assertStringIncludes(said, "    at ");
  }
});
