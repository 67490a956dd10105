/**
 * A seeded bug: a mistake that could have been made in the production code, as a change of its text. No production code
 * knows of it; `mutation_run.ts` puts it in place for one child process.
 *
 * @module
 */
import type { STORMS } from "../faults/storms.ts";

/** One mistake. */
export interface Mutation {
  readonly name: string;
  /** The file that is changed, from the root of the repository. */
  readonly file: string;
  /** Each text must be in the file exactly once. */
  readonly edits: readonly (readonly [text: string, replacement: string])[];
  /** It is found within this many seeds, from 1 on. */
  readonly seedsMax: number;
  /**
   * Why it can do no harm alone: a second rule keeps it from that. Then no seed may find it, and the run that
   * tries this many is the evidence. What cannot harm today may do so when the second rule goes.
   */
  readonly harmless?: string;
  /** A kind of storm that gives it more occasions to show; default: all kinds, as in `deno task sim`. */
  readonly storm?: keyof typeof STORMS | "register";
  /**
   * The test file that finds it, from the root of the repository; then there is one seed. For what the simulation
   * has none of, or has in its own version: TLS, passwords, front ends.
   */
  readonly test?: string;
}

/**
 * The file's text with the mistake in it.
 *
 * @throws {Error} if the production code has changed, so that the mistake has no place any more
 */
export function mutate(source: string, { name, file, edits }: Mutation): string {
  let text = source;
  for (const [from, to] of edits) {
    const parts = text.split(from);
    if (parts.length !== 2) {
      throw new Error(
        `${name}: ${JSON.stringify(from)} must be in ${file} once, and is there ` +
          `${parts.length - 1} times; adapt tests/simulation/mutations/`,
      );
    }
    text = parts.join(to);
  }
  return text;
}
