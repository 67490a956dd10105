/**
 * A user's request in a secured process, before it is carried out or passed on. It says whose it is. And its client
 * session is its user's: two users may use the same name for a session, and neither is told what the other's request
 * was answered.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { checkSession } from "../validation/request_checks.ts";
import { ON_BEHALF, userOf } from "../wire/on_behalf.ts";
import type { KeyRequest } from "../wire/messages.ts";

/**
 * The request as this user's, in a client session that only this user can name if it is in one.
 *
 * @throws {KvError} `bad_request` for a malformed name of a session
 */
export function forUser<R extends KeyRequest>(request: R, user: string): R {
  const session = "session" in request ? request.session : undefined;
  // JSON null stands for an absent field.
  if (typeof session !== "string") {
    // It says so already if it came over the JSON wire.
    return userOf(request) === user ? request : { ...request, [ON_BEHALF]: user };
  }
  checkSession(session, request.req_type);
  // A hash, so that it is no longer than a name may be. No user's name has a colon.
  const hash = createHash("sha256").update(`${user}:${session}`).digest("base64url");
  return { ...request, session: hash, [ON_BEHALF]: user };
}
