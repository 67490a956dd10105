/**
 * Which connection of this process waits for the answer to a request. Expensive work looks at this
 * first, so that it is not done if nobody waits any more. The caller travels with its request through
 * all code that handles it, also into copies (`{ ...request }`), but never over the wire: JSON leaves
 * out a field whose name is a symbol.
 *
 * @module
 */

/** The name of the field. */
export const CALLER: unique symbol = Symbol("caller");

/** A connection that asks. */
export interface Caller {
  /** True if nobody waits for answers any more. */
  readonly closed: boolean;
  /** True if, as far as known, it gets long replies: its requests are kept out of the way of others. */
  readonly heavy: boolean;
  /** Whose requests these are, as far as they do not say it themselves (`on_behalf.ts`): the user that has logged in. */
  user?: string | undefined;
}

/** A request whose caller may be known. */
export interface Called {
  [CALLER]?: Caller | undefined;
}

/** Whether nobody waits for the answer to a request. A request without a known caller is never abandoned. */
export function isAbandoned(request: object): boolean {
  return (request as Called)[CALLER]?.closed === true;
}

/** Whether a request's caller gets long replies. */
export function isHeavy(request: object): boolean {
  return (request as Called)[CALLER]?.heavy === true;
}
