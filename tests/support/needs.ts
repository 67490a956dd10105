/**
 * Tests that need something that not every machine has. A machine without it leaves the test out, and says so:
 * `deno task test` lists the names at its end, and the reason is a part of the name.
 *
 * @module
 */

/** A requirement: whether it is there, and what is said if it is not. */
export interface Need {
  readonly met: boolean;
  /** As in "no redis-server 7.0". */
  readonly otherwise: string;
}

/** Name and `ignore` of a test that needs something. */
export function needing(
  name: string,
  ...needs: readonly Need[]
): { name: string; ignore: boolean } {
  const missing = needs.filter(({ met }) => !met).map(({ otherwise }) => otherwise);
  if (missing.length === 0) return { name, ignore: false };
  return { name: `${name} [left out: ${missing.join(", ")}]`, ignore: true };
}

/** Whether a program can be run. @param args which make it end at once */
export function hasProgram(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdin: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
