import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../../../", import.meta.url).pathname;

Deno.test("compare: a quick run measures a node, and beside it what is installed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-compare-test-" });
  try {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...["net", "read", "write", "env", "run", "sys", "ffi"].map((name) => `--allow-${name}`),
        `${ROOT}bench/compare/main.ts`,
        "--quick",
        "--round-ms=100",
        "--only=memory-set-p1,memory-get-p16",
        `--data=${folder}`,
        `--json=${folder}/figures.json`,
      ],
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const decoder = new TextDecoder();
    assert(success, decoder.decode(stdout) + decoder.decode(stderr));
    const { rows, notes, versions } = JSON.parse(
      await Deno.readTextFile(`${folder}/figures.json`),
    );
    assertEquals(rows.length, 2);
    for (const { ours, theirs } of rows) {
      for (const { perSecond, errors } of ours.samples) assert(perSecond > 0 && errors === 0);
      assertEquals(theirs !== undefined, versions.redis !== undefined, JSON.stringify(notes));
    }
    if (versions.redis !== undefined) {
      // The chart library asks for the environment when it is imported, so no unit test has it.
      const svg = await Deno.readTextFile(`${folder}/figures.svg`);
      for (const part of ["<svg", "× Redis", rows[0].title]) assertStringIncludes(svg, part);
    }
    // Data and servers are gone.
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(left.filter((name) => name.startsWith("kv-compare-")), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
