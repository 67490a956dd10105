/** Assertions of one value. @module */
import { AssertionError, suffixOf } from "./assertion_error.ts";

/** `expr` is truthy. @throws {AssertionError} */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Neither null nor undefined. @throws {AssertionError} */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to not be null or undefined${suffixOf(msg)}`,
  );
}

/** The text matches. @throws {AssertionError} */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to match: "${expected}"${suffixOf(msg)}`,
  );
}

/** The text contains the other. @throws {AssertionError} */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(
    `Expected actual: "${actual}" to contain: "${expected}"${suffixOf(msg)}`,
  );
}

/** Any constructor. */
// deno-lint-ignore no-explicit-any
export type AnyConstructor = new (...args: any[]) => any;

/** What a constructor makes. */
export type GetConstructorType<T extends AnyConstructor> = InstanceType<T>;

/** The value is an instance of the class. @throws {AssertionError} */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is GetConstructorType<T> {
  if (actual instanceof expectedType) return;
  const found = typeof actual === "object" && actual !== null
    ? actual.constructor?.name ?? "Object"
    : actual === null
    ? "null"
    : typeof actual;
  throw new AssertionError(
    `Expected object to be an instance of "${expectedType.name}" but was "${found}"${
      suffixOf(msg)
    }`,
  );
}

/** Always fails. @throws {AssertionError} */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${suffixOf(msg)}`);
}

/** For a line that must never run. @throws {AssertionError} */
export function unreachable(msg?: string): never {
  throw new AssertionError(`Unreachable${suffixOf(msg)}`);
}
