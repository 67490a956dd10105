/**
 * The processes through which this one was started: `npx`, npm's shim for Deno, `deno task`. Not all of them
 * pass signals on, so a process that must not outlive them has to watch them.
 *
 * @module
 */
import process from "node:process";

/** An ancestor of this process. */
export interface Launcher {
  readonly pid: number;
  readonly command: string;
}

/** The time between two checks of them. */
const POLL_MS = 500;

/** Prints a line for each ancestor of a given process: its id and its command. Linux, macOS. */
const ANCESTORS = `
pid=$1
while [ "\${pid:-0}" -gt 1 ]; do
  parent=
  if [ -r "/proc/$pid/status" ]; then
    while read -r name value _; do [ "$name" = PPid: ] && parent=$value; done < "/proc/$pid/status"
    command=$(tr '\\0\\n' '  ' < "/proc/$pid/cmdline")
  else
    set -- $(ps -o ppid= -o command= -p "$pid")
    parent=$1
    [ $# -gt 0 ] && shift
    command=$*
  fi
  echo "$pid $command"
  pid=$parent
done
`;

/** The launchers of this process, the nearest first. None if the system does not tell. */
export async function findLaunchers(): Promise<Launcher[]> {
  const ask = new Deno.Command("sh", {
    args: ["-c", ANCESTORS, "sh", String(Deno.ppid)],
    stdin: "null",
    stderr: "null",
  });
  const { stdout } = await ask.output().catch(() => ({ stdout: new Uint8Array() }));
  return launchersAmong(new TextDecoder().decode(stdout));
}

/**
 * The launchers among a list of ancestors. A shell counts only if npm has started it: any other shell is the
 * user's, and its end is no reason to end what was put into the background.
 *
 * @param lines a process id and a command on each, the parent first
 */
export function launchersAmong(lines: string): Launcher[] {
  const ancestors = lines.split("\n").flatMap((line) => {
    const [, pid, command = ""] = /^(\d+) (.*)$/.exec(line) ?? [];
    const [program = ""] = command.split(" ");
    const name = program.slice(program.lastIndexOf("/") + 1);
    return pid === undefined ? [] : [{ pid: Number(pid), command: command.trim(), name }];
  });
  const end = ancestors.findIndex(({ name }, i) => {
    const above = ancestors[i + 1]?.name ?? "";
    return !(/^(deno|node|npm|npx)$/.test(name) || /^(npm|npx)$/.test(above));
  });
  return ancestors.slice(0, end < 0 ? undefined : end)
    .map(({ pid, command }) => ({ pid, command }));
}

/** The first of them that ends. Never settles if none does before the signal. */
export function untilOneEnds(
  launchers: readonly Launcher[],
  signal: AbortSignal,
): Promise<Launcher> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const gone = launchers.find(({ pid }) => !isRunning(pid));
      if (gone === undefined) return;
      clearInterval(timer);
      resolve(gone);
    }, POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === "EPERM";
  }
}
