/** Where a self-extracting executable unpacks itself, with a shell script in the place of Deno. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CLIENT } from "../../tools/programs.ts";
import { headerText, type Member } from "../../tools/self_extracting.ts";

const RUNTIME = `#!/bin/sh\necho "unpacked into $DENO_DIR"\n`;

/** Makes the executable in a folder of its own, and runs it in no environment but the given one. */
async function run(
  environment: (folder: string) => Record<string, string>,
  test: (result: { code: number; text: string; folder: string }) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const stream = new Blob([RUNTIME]).stream().pipeThrough(new CompressionStream("gzip"));
    const packed = new Uint8Array(await new Response(stream).arrayBuffer());
    const runtime: Member = { path: "runtime", executable: true, packed };
    const file = `${folder}/kv-client`;
    await Deno.writeTextFile(file, headerText(CLIENT, "home", [runtime]), { mode: 0o755 });
    await Deno.writeFile(file, packed, { append: true });
    const { code, stdout, stderr } = await new Deno.Command(file, {
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", ...environment(folder) },
    }).output();
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    await test({ code, text, folder });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

Deno.test("self-extracting: into the cache folder of the user", async () => {
  await run((folder) => ({ HOME: folder }), ({ code, text, folder }) => {
    assertEquals({ code, text }, { code: 0, text: `unpacked into ${folder}/.cache/kv/state\n` });
  });
  const both = (folder: string) => ({ HOME: folder, XDG_CACHE_HOME: `${folder}/c` });
  await run(both, ({ code, text, folder }) => {
    assertEquals({ code, text }, { code: 0, text: `unpacked into ${folder}/c/kv/state\n` });
  });
});

Deno.test("self-extracting: without a home it unpacks into the temporary folder, and makes no home", async () => {
  const before = await exists("/nonexistent");
  await run((folder) => ({ TMPDIR: folder }), async ({ code, text, folder }) => {
    assertEquals(code, 0, text);
    assertMatch(text, new RegExp(`^unpacked into ${folder}/kv-\\d+/state\n$`));
    assertEquals(await exists("/nonexistent"), before);
  });
  const missing = (folder: string) => ({ TMPDIR: folder, HOME: `${folder}/missing` });
  await run(missing, async ({ code, text, folder }) => {
    assertEquals(code, 0, text);
    assertStringIncludes(text, `${folder}/kv-`);
    assert(!await exists(`${folder}/missing`));
  });
});

Deno.test("self-extracting: it says so where there is no folder that it can use", async () => {
  await run((folder) => ({ TMPDIR: `${folder}/kv-client` }), ({ code, text }) => {
    assertEquals(code, 1, text);
    assertStringIncludes(text, "set XDG_CACHE_HOME to a folder of yours");
  });
});
