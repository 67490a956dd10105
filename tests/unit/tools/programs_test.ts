import { assertEquals } from "@std/assert";
import project from "../../../deno.json" with { type: "json" };
import { PROGRAMS } from "../../../tools/programs.ts";

Deno.test("PROGRAMS: the tasks of deno.json run with the same permissions", () => {
  const commands: Record<string, { command: string }> = project.tasks;
  for (const { name, entry, permissions } of PROGRAMS) {
    const task = commands[name.replace("kv-", "")];
    assertEquals(task?.command, `deno run --no-prompt --quiet ${permissions.join(" ")} ${entry}`);
  }
});

Deno.test("PROGRAMS: none may read, write, load, run or read of the environment whatever it likes", () => {
  for (const { name, permissions } of PROGRAMS) {
    const unscoped = permissions.filter((flag) =>
      /^--allow-(all|read|write|ffi|run|env)$/.test(flag)
    );
    // Which program it would run, itself, is known to nobody beforehand; who is no supervisor gives it up at once
    // (tests/integration/security/least_privilege_test.ts).
    assertEquals(unscoped, name === "kv-node" ? ["--allow-run"] : [], name);
  }
});

Deno.test("tasks: none asks for a permission, which stops a job in the background", () => {
  for (const [name, { command }] of Object.entries(project.tasks)) {
    assertEquals(/^deno (run|test) --no-prompt /.test(command), true, name);
  }
});
