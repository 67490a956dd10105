/**
 * Who waits for the answer to a request in this process: looked at before work that is done for nobody
 * else. The caller goes with its request through everything that carries it out, also into copies of it
 * (`{ ...request }`), and never over the wire: JSON leaves out what has a symbol for its name.
 *
 * @module
 */

/** The name of the field. */
export const CALLER: unique symbol = Symbol("caller");

/** A connection that asks. */
export interface Caller {
  /** Nobody waits for answers any more. */
  readonly closed: boolean;
  /** It gets long replies, as far as is known: what it asks is kept out of the way of others. */
  readonly heavy: boolean;
}

/** A request whose caller may be known. */
export interface Called {
  [CALLER]?: Caller | undefined;
}

/** Whether nobody waits for the answer to a request. Of one whose caller is not known somebody does. */
export function isAbandoned(request: object): boolean {
  return (request as Called)[CALLER]?.closed === true;
}

/** Whether a request's caller gets long replies. */
export function isHeavy(request: object): boolean {
  return (request as Called)[CALLER]?.heavy === true;
}
