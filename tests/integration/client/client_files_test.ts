/** `kv-client` and the system: files, devices and streams, as the real process meets them. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { denoIo } from "../../../client/cli/deno_io.ts";
import { KvError } from "../../../shared/base/errors.ts";

const main = new URL("../../../client/main.ts", import.meta.url).pathname;
const config = new URL("../../../deno.json", import.meta.url).pathname;

/** Runs a line of sh in which `$KV` is kv-client, with the permissions that it has. */
async function sh(line: string): Promise<[code: number, stderr: string]> {
  const client = `${Deno.execPath()} run --quiet --config ${config} --allow-net --allow-read ` +
    `--allow-write --allow-env=KV_* --allow-sys=networkInterfaces ${main}`;
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", line],
    env: { KV: client, NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  return [code, new TextDecoder().decode(stderr)];
}

Deno.test("kv-client says in its own words what the system refuses", async () => {
  const table: [line: string, code: number, stderr: RegExp][] = [
    [
      `$KV put k "$(printf 'a\\377b')"`,
      2,
      /^kv-client put: bad_request: the argument "a�b" is not/,
    ],
    ["$KV put k - < /tmp", 2, /^bad_request: cannot read standard input \(Is a directory\)\n$/],
    ["$KV help > /dev/full", 1, /^storage_failed: cannot write standard output \(No space left/],
    ["$KV multi", 2, /^bad_request: multi: the end came before exec/],
  ];
  for (const [line, code, stderr] of table) {
    const [exitCode, printed] = await sh(line);
    assertMatch(printed, stderr, line);
    assertEquals(exitCode, code, line);
    assertEquals(/--allow|internal:/.test(printed), false, printed);
  }
});

Deno.test("createWhole replaces a file when the new one is whole, and writes what is none in place", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const io = denoIo(false);
    const path = `${folder}/all.jsonl`;
    const old = new TextEncoder().encode("old");
    await Deno.writeFile(path, old);
    await assertRejects(() => io.createWhole(path, false), KvError, "is there already");
    const broken = await io.createWhole(path, true);
    await broken.write(new Uint8Array(10));
    assertEquals(await Deno.readFile(path), old);
    await broken.abandon();
    assertEquals(await Deno.readFile(path), old);

    await Deno.symlink(path, `${folder}/link`);
    const whole = await io.createWhole(`${folder}/link`, true);
    await whole.write(new TextEncoder().encode("new"));
    await whole.finish();
    assertEquals(await Deno.readTextFile(path), "new");
    assertEquals((await Deno.lstat(`${folder}/link`)).isSymlink, true);

    const device = await io.createWhole("/dev/null", true);
    await device.write(old);
    await device.finish();
    assertEquals((await Deno.stat("/dev/null")).isFile, false);
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
    assertEquals(names, ["all.jsonl", "link"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
