/** Assertions of what a function throws, or rejects with. @module */
import { AssertionError, suffixOf } from "./assertion_error.ts";

// deno-lint-ignore no-explicit-any
type ErrorConstructorOf<E extends Error> = abstract new (...args: any[]) => E;

/** The value is an error: of the class, with the text in its message. @throws {AssertionError} */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorConstructorOf<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    throw new AssertionError(`Expected "error" to be an Error object${suffixOf(msg)}`);
  }
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${ErrorClass.name}", but was "${error.constructor.name}": ${error.message}${
        suffixOf(msg)
      }`,
    );
  }
  if (!msgMatches) return;
  const found = typeof msgMatches === "string"
    ? error.message.includes(msgMatches)
    : msgMatches.test(error.message);
  if (!found) {
    throw new AssertionError(
      `Expected error message to include ${
        typeof msgMatches === "string" ? JSON.stringify(msgMatches) : msgMatches
      }, but got ${JSON.stringify(error.message)}${suffixOf(msg)}`,
    );
  }
}

/** What the caller asked for, from either form of the arguments. */
interface Wanted<E extends Error> {
  ErrorClass: ErrorConstructorOf<E> | undefined;
  msgIncludes: string | undefined;
  msg: string | undefined;
}

function wanted<E extends Error>(
  classOrMsg: ErrorConstructorOf<E> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): Wanted<E> {
  return typeof classOrMsg === "string"
    ? { ErrorClass: undefined, msgIncludes: undefined, msg: classOrMsg }
    : { ErrorClass: classOrMsg, msgIncludes, msg };
}

function checkThrown<E extends Error>(error: unknown, how: string, want: Wanted<E>): void {
  if (want.ErrorClass === undefined) return;
  if (!(error instanceof Error)) {
    throw new AssertionError(`A non-Error object was ${how}${suffixOf(want.msg)}`);
  }
  assertIsError(error, want.ErrorClass, want.msgIncludes, want.msg);
}

/** The function throws. @returns what it threw @throws {AssertionError} */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** The function throws an error of the class, with the text in its message. @returns the error */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorConstructorOf<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  classOrMsg?: ErrorConstructorOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const want = wanted(classOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    checkThrown(error, "thrown", want);
    return error;
  }
  throw new AssertionError(`Expected function to throw${suffixOf(want.msg)}`);
}

/** The promise rejects. @returns what with @throws {AssertionError} also where `fn` throws at once */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** The promise rejects with an error of the class, with the text in its message. @returns the error */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorConstructorOf<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorConstructorOf<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const want = wanted(classOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
    if (typeof promise?.then !== "function") throw new TypeError("no promise was returned");
  } catch (cause) {
    throw new AssertionError(
      `Function throws when expected to reject${suffixOf(want.msg)}`,
      { cause },
    );
  }
  try {
    await promise;
  } catch (error) {
    checkThrown(error, "rejected", want);
    return error;
  }
  throw new AssertionError(`Expected function to reject${suffixOf(want.msg)}`);
}
