/**
 * The message of a failed equality: both values printed over several lines, and which lines differ.
 * The lines are compared by longest common subsequence, O(n·m), so very long values are cut first.
 *
 * @module
 */

/** Lines of each value beyond which a message would be of no use, and comparing them slow. */
const LINES_MAX = 2_000;

/** A value as text: keys sorted, nothing left out. */
export function format(value: unknown): string {
  return Deno.inspect(value, {
    depth: Infinity,
    sorted: true,
    trailingComma: true,
    compact: false,
    iterableLimit: Infinity,
    strAbbreviateSize: Infinity,
    getters: true,
  });
}

/** Lines with ` ` (in both), `-` (actual only) or `+` (expected only) in front. */
export function diffText(actual: unknown, expected: unknown): string {
  const both = typeof actual === "string" && typeof expected === "string";
  const show = (value: unknown) =>
    (both ? String(value) : format(value)).split("\n").slice(0, LINES_MAX);
  return ["    [Diff] - Actual / + Expected", "", ...diffLines(show(actual), show(expected))]
    .join("\n");
}

function diffLines(actual: string[], expected: string[]): string[] {
  const common = commonLengths(actual, expected);
  const lines: string[] = [];
  let a = 0;
  let e = 0;
  while (a < actual.length || e < expected.length) {
    if (a < actual.length && e < expected.length && actual[a] === expected[e]) {
      lines.push(`    ${actual[a]}`);
      a++;
      e++;
    } else if (
      e >= expected.length || (a < actual.length && common(a + 1, e) >= common(a, e + 1))
    ) {
      lines.push(`-   ${actual[a]}`);
      a++;
    } else {
      lines.push(`+   ${expected[e]}`);
      e++;
    }
  }
  return lines;
}

/** (i, j) -> length of the longest common subsequence of `a` from i and `b` from j. */
function commonLengths(a: string[], b: string[]): (i: number, j: number) => number {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => table[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * width + j] = a[i] === b[j]
        ? at(i + 1, j + 1) + 1
        : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  return at;
}
