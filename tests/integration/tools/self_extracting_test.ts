/** Where a self-extracting executable unpacks itself, with a shell script in the place of Deno. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CLIENT } from "../../../tools/programs.ts";
import { headerText, member } from "../../../tools/self_extracting.ts";

const RUNTIME = `#!/bin/sh\necho "unpacked into $DENO_DIR"\n`;

interface Ended {
  code: number;
  text: string;
}

/** Makes the executable in a folder of its own, and runs it in no environment but the given one. */
async function run(
  environment: (folder: string) => Record<string, string>,
  test: (
    result: Ended & { folder: string; again: () => Promise<Ended> },
  ) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const runtime = await member("runtime", true, new TextEncoder().encode(RUNTIME));
    const file = `${folder}/kv-client`;
    await Deno.writeTextFile(file, headerText(CLIENT, "home", [runtime]), { mode: 0o755 });
    await Deno.writeFile(file, runtime.packed, { append: true });
    const start = async () => {
      const { code, stdout, stderr } = await new Deno.Command(file, {
        clearEnv: true,
        env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", ...environment(folder) },
      }).output();
      const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
      return { code, text };
    };
    await test({ ...await start(), folder, again: start });
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

Deno.test("self-extracting: it says so if there is no folder that it can use", async () => {
  await run((folder) => ({ TMPDIR: `${folder}/kv-client` }), ({ code, text }) => {
    assertEquals(code, 1, text);
    assertStringIncludes(text, "set XDG_CACHE_HOME to a folder of yours");
  });
});

Deno.test("self-extracting: what was altered is not run, and what others can alter neither", async () => {
  await run((folder) => ({ HOME: folder }), async ({ code, text, folder, again }) => {
    assertEquals(code, 0, text);
    const cache = `${folder}/.cache/kv`;
    await Deno.writeTextFile(`${cache}/runtime`, "#!/bin/sh\necho altered\n");
    assertEquals(await again(), { code, text });
    // One byte is enough.
    await Deno.writeTextFile(`${cache}/runtime`, RUNTIME.replace("unpacked", "unpackeD"));
    assertEquals(await again(), { code, text });
    await Deno.remove(`${cache}/runtime`);
    await Deno.symlink("/bin/echo", `${cache}/runtime`);
    assertEquals(await again(), { code, text });
    await Deno.chmod(cache, 0o770);
    const open = await again();
    assertEquals(open.code, 1);
    assertStringIncludes(open.text, "must be closed to other users");
    await Deno.chmod(cache, 0o700);
    assertEquals(await again(), { code, text });
  });
});

Deno.test("self-extracting: a file that was altered itself runs nothing, and leaves what it had unpacked", async () => {
  await run((folder) => ({ HOME: folder }), async ({ code, text, folder, again }) => {
    assertEquals(code, 0, text);
    const file = `${folder}/kv-client`;
    const bytes = await Deno.readFile(file);
    const middle = bytes.length - 20;
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await Deno.writeFile(file, bytes);
    assertEquals(await again(), { code, text });
    await Deno.remove(`${folder}/.cache/kv/runtime`);
    const damaged = await again();
    assertEquals(damaged.code, 1);
    assertMatch(damaged.text, /damaged/);
    assert(!await exists(`${folder}/.cache/kv/runtime`));
  });
});
