import { assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../../../", import.meta.url).pathname;

async function run(args: string[], env: Record<string, string> = {}) {
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env });
  const { code, stdout, stderr } = await command.output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out: out ?? "", errors: errors ?? "" };
}

Deno.test("deno task build: a file that is not the program is not called one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["run", "--no-lock", "-A", "tools/build.ts", "--no-check", "--out", folder];
    const { code, out, errors } = await run(args, { DENORT_BIN: "/bin/ls" });
    assertEquals([code, out], [1, ""]);
    assertStringIncludes(errors, 'does not run: --version must print "kv-coordinator ');
    assertStringIncludes(errors, "is DENORT_BIN=/bin/ls a runtime stub");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tasks with a few words of their own answer --help, and do nothing else", async () => {
  const tasks: [task: string, file: string][] = [
    ["build", "tools/build.ts"],
    ["test", "tools/test.ts"],
    ["ok", "tools/ok.ts"],
    ["docs", "tools/reference/operations_reference.ts"],
    ["sim", "tests/simulation/main.ts"],
    ["sim:mutations", "tests/simulation/mutations/mutations_main.ts"],
    ["torture", "tests/torture/main.ts"],
  ];
  for (const [task, file] of tasks) {
    // Without any permission: whatever it began would fail.
    const { code, out, errors } = await run(["run", "--quiet", "--no-check", file, "--help"]);
    assertEquals([code, errors], [0, ""], task);
    assertEquals(out.split("\n")[0]?.startsWith(`usage: deno task ${task} `), true, out);
  }
});
