/**
 * Scenario files: a story of a few nodes, as commands and what comes of each, word for word. The file is
 * the test, in the manner of etcd raft's `testdata`: whoever changes the protocol sees in the difference
 * what messages and what states on disk change with it.
 *
 *     # What is shown, and why it matters.
 *     # rules: W1, W3
 *
 *     > n1 put a 1
 *     n1 -> n2: append a@1=1; stream 1, commit 0
 *
 * A line that begins with `>` is a command, the lines up to the next one are what came of it. Lines with `#`
 * are comments. What commands there are, and who carries them out, depends on the file's folder:
 * `replication_stage.ts`, `membership_stage.ts`, `transactions_stage.ts`.
 *
 * @module
 */

/** Who carries out the commands of one scenario. */
export interface Stage {
  /** @throws {Error} if the command is none, or cannot be carried out now */
  carryOut(command: string): Promise<void>;
  /** What has happened since this was last asked. */
  takeLines(): string[];
}

/** A command and what is expected of it. */
export interface Step {
  readonly line: number;
  readonly command: string;
  readonly expected: readonly string[];
  /** Comments in front of the command, as they stand in the file. */
  readonly before: readonly string[];
}

/** A file. */
export interface Scenario {
  /** Rules of docs/replication.md and docs/transactions.md that it shows. */
  readonly rules: readonly string[];
  readonly steps: readonly Step[];
  /** What stands behind the last step. */
  readonly after: readonly string[];
}

/** Reads a file. @throws {Error} if something stands where nothing is expected */
export function parseScenario(text: string): Scenario {
  const steps: { line: number; command: string; expected: string[]; before: string[] }[] = [];
  let before: string[] = [];
  const rules: string[] = [];
  text.trimEnd().split("\n").forEach((line, index) => {
    const step = steps.at(-1);
    if (line.startsWith(">")) {
      steps.push({ line: index + 1, command: line.slice(1).trim(), expected: [], before });
      before = [];
    } else if (line.startsWith("#") || line === "") {
      const named = /^# rules: (.*)$/.exec(line)?.[1];
      if (named !== undefined) rules.push(...named.split(", "));
      before.push(line);
    } else if (step === undefined || before.some((comment) => comment !== "")) {
      throw new Error(`line ${index + 1}: only comments may stand before a command`);
    } else {
      step.expected.push(line);
      before = [];
    }
  });
  return { rules, steps, after: before };
}

/** What really comes of each step. */
export async function runScenario({ steps }: Scenario, stage: Stage): Promise<string[][]> {
  const results: string[][] = [];
  for (const { line, command } of steps) {
    try {
      await stage.carryOut(command);
    } catch (error) {
      throw new Error(`line ${line}: ${command}`, { cause: error });
    }
    results.push(stage.takeLines());
  }
  return results;
}

/** The file with what really came of each step. */
export function rewritten({ steps, after }: Scenario, results: readonly string[][]): string {
  const lines = steps.flatMap(({ before, command }, i) => [
    ...before,
    `> ${command}`,
    ...results[i] ?? [],
  ]);
  return [...lines, ...after].join("\n").trimEnd() + "\n";
}
