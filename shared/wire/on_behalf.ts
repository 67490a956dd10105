/**
 * For which user a request is, in a secured cluster: the one that has logged in at its caller, or another one that the
 * request says. That it says as a field whose name is a symbol; so nothing that comes over a wire, or stands inside of
 * another request, can set it. Caller and field travel with the request through all code that handles it, also into
 * copies (`{ ...request }`). Passed on to another member, it becomes the field `as` of the message's envelope, which is
 * believed from members alone.
 *
 * @module
 */

import { type Called, CALLER } from "./caller.ts";

/** The name of the field. */
export const ON_BEHALF: unique symbol = Symbol("on behalf");

/** A request whose user may be known. */
export interface OnBehalf {
  [ON_BEHALF]?: string | undefined;
}

/** The user that a request is for, if it is known here. */
export function userOf(request: object): string | undefined {
  const { [ON_BEHALF]: said, [CALLER]: caller } = request as OnBehalf & Called;
  return said ?? caller?.user;
}

/** What a message that came over the wire says of it; it says so no more then. */
export function takeSaidUser(message: object & { as?: unknown }): string | undefined {
  const { as } = message;
  if (as === undefined) return undefined;
  // Not deleted, which would make a slow object of it; nothing that has no value is sent.
  message.as = undefined;
  return typeof as === "string" ? as : undefined;
}
