/** Assertions of two values. @module */
import { AssertionError, suffixOf } from "./assertion_error.ts";
import { diffText, format } from "./diff.ts";
import { equal } from "./equal.ts";

/** Deeply equal; see `equal`. @throws {AssertionError} with the lines that differ */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    `Values are not equal${suffixOf(msg)}\n\n${diffText(actual, expected)}`,
  );
}

/** Not deeply equal. @throws {AssertionError} */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    `Expected actual: ${format(actual)} not to be: ${format(expected)}${suffixOf(msg)}`,
  );
}

/** The same by `Object.is`. @throws {AssertionError} */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const text = format(actual);
  throw new AssertionError(
    text === format(expected)
      ? `Values have the same structure but are not reference-equal${suffixOf(msg)}\n\n${text}`
      : `Values are not strictly equal${suffixOf(msg)}\n\n${diffText(actual, expected)}`,
  );
}

/**
 * Two numbers differ by no more than `tolerance`, by default one part in ten million of `expected`.
 *
 * @throws {AssertionError}
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to be close to "${expected}": delta "${delta}" is greater than "${allowed}"${
      suffixOf(msg)
    }`,
  );
}

/** actual > expected. @throws {AssertionError} */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw unordered(actual, ">", expected, msg);
}

/** actual >= expected. @throws {AssertionError} */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw unordered(actual, ">=", expected, msg);
}

/** actual < expected. @throws {AssertionError} */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw unordered(actual, "<", expected, msg);
}

function unordered(actual: unknown, sign: string, expected: unknown, msg: string | undefined) {
  return new AssertionError(msg ?? `Expect ${format(actual)} ${sign} ${format(expected)}`);
}
