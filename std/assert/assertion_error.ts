/** The error of a failed assertion. @module */

/** Thrown where an assertion does not hold. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** What stands after the fixed part of a message: the caller's own text, or a full stop. */
export function suffixOf(msg: string | undefined): string {
  return msg ? `: ${msg}` : ".";
}
