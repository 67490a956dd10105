/** How much memory a process has, as the system counts it. For tests. @module */

const PAGE_BYTES = 4_096;

/** Bytes of a process's resident memory. */
export async function residentBytes(pid: number): Promise<number> {
  // Deno itself may not read /proc without all permissions, and not every machine has `ps`.
  const [command, args, unit] = Deno.build.os === "linux"
    ? ["cat", [`/proc/${pid}/statm`], PAGE_BYTES] as const
    : ["ps", ["-o", "rss=", "-p", String(pid)], 1_024] as const;
  const { stdout } = await new Deno.Command(command, { args: [...args] }).output();
  const fields = new TextDecoder().decode(stdout).trim().split(/\s+/);
  const count = Number(fields[Deno.build.os === "linux" ? 1 : 0]);
  if (!(count > 0)) throw new Error(`no memory figure of process ${pid}: ${fields.join(" ")}`);
  return count * unit;
}
