/**
 * A disk that takes no writes, as a full one does: by a limit on the size of a process's files, which works without a
 * disk of its own.
 *
 * @module
 */
import { assert } from "@std/assert";
import { NODE } from "../../../tools/programs.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** A file that runs a node which survives a write beyond the limit, as it does one to a full disk. */
export async function nodeWithLimits(folder: string): Promise<string> {
  const path = `${folder}/node.sh`;
  const run = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    ...NODE.permissions,
    ROOT + NODE.entry,
  ];
  const quoted = run.map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(path, `#!/bin/sh\ntrap '' XFSZ\nexec ${quoted} "$@"\n`, { mode: 0o700 });
  return path;
}

/** Sets how large a file a process may write. */
export async function limitFiles(pid: number, bytes: number | "unlimited"): Promise<void> {
  const args = [`--pid=${pid}`, `--fsize=${bytes}:unlimited`];
  const { success, stderr } = await new Deno.Command("prlimit", { args }).output();
  assert(success, new TextDecoder().decode(stderr));
}
