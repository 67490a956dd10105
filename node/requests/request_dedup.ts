/**
 * What makes a repeated request harmless. A caller that wants it names a *client session*, which it uses
 * for one request at a time, and numbers its requests there. With each write the partition keeps, in one
 * group with it, an entry of the session: the number, and how the request was answered. A request that
 * comes again with the same number gets that answer, or, of a long one, whether it has happened. As an
 * entry like any other it is replicated, and survives restarts and a change of primary.
 *
 * A partition remembers a bounded number of sessions (`client_session_table.ts`): a new one takes the place
 * of the one whose last request is the longest ago. So a session that is not known may be one that was
 * forgotten. To tell, a request says how far the partition was, as its sender knew before the first
 * attempt (`since`). If a session was evicted whose last request was later than that, it may have been
 * this one, and the request is not carried out.
 *
 * A refusal of a first attempt is not remembered: it changed nothing. That of a later attempt is, since
 * the earlier one may still be on its way, and must not find another state of the key. Rule W8 of docs/replication.md.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { CLIENT_SESSION_REPLY_CHARACTERS_MAX } from "../../shared/limits/requests.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { CLIENT_SESSION_KEY_PREFIX } from "../../shared/cluster/system_keys.ts";
import { isRepeated } from "../../shared/operations/repeat.ts";
import { errorReply, type Write } from "../../shared/operations/operation.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";

/** One change of a key, decided and not yet given a seq. */
export interface Change {
  readonly key: string;
  readonly write: Write;
  /** The key's version, if it is not the seq that the change will have. Rule X8. */
  readonly version?: number | undefined;
}

/** The value of a session's entry, as JSON. */
interface Remembered {
  request_number: number;
  reply: Reply;
  /** The greatest seq of a session's entry that had been evicted when this one was written. Absent: 0. */
  evicted_seq?: number | undefined;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** The key of the request's client session, or undefined if it has none. */
export function clientSessionKey(request: KeyRequest): string | undefined {
  if (!("session" in request) || request.session === undefined) return undefined;
  return CLIENT_SESSION_KEY_PREFIX + request.session;
}

/** Whether a key is a client session's, which no user sees. */
export function isClientSessionKey(key: string): boolean {
  return key.startsWith(CLIENT_SESSION_KEY_PREFIX);
}

/**
 * How the request was answered when it was carried out, or undefined if it was not.
 *
 * @throws {KvError} `bad_request` for a number that the client session has passed, or for none
 */
export function rememberedReply(
  request: KeyRequest,
  session: Entry | undefined,
): Reply | undefined {
  const requestNumber = "request_number" in request ? request.request_number : undefined;
  if (requestNumber === undefined) {
    throw new KvError("bad_request", `a "session" needs a "request_number", a whole number`);
  }
  if (session === undefined || isTombstone(session)) return undefined;
  const remembered = JSON.parse(fromUtf8.decode(session.value)) as Remembered;
  if (remembered.request_number === requestNumber) return remembered.reply;
  if (remembered.request_number < requestNumber) return undefined;
  throw new KvError(
    "bad_request",
    `"request_number" is ${requestNumber}, and the client session has passed ${remembered.request_number}`,
  );
}

/**
 * Why a request is not carried out of whose session nothing is known: an earlier attempt may have been
 * carried out, and forgotten with its session. Undefined if that cannot be.
 *
 * @param evictedSeq the greatest seq of a session's entry that was evicted
 * @param commitSeq at least `evictedSeq`: with this as `since`, a first attempt may be sent again
 */
export function whyForgotten(
  request: KeyRequest,
  session: Entry | undefined,
  evictedSeq: number,
  commitSeq: number,
): Reply | undefined {
  if (session !== undefined && !isTombstone(session)) return undefined;
  const since = ("since" in request ? request.since : undefined) ?? 0;
  if (since >= evictedSeq) return undefined;
  const what = request.req_type;
  if (isRepeated(request)) {
    const message =
      `${what}: an earlier attempt may have happened; what is known of client sessions ` +
      `reaches back to seq ${evictedSeq}, and this request was first sent at ${since}`;
    // Nobody will ever know better.
    return { ...errorReply("outcome_unknown", message), settled: true };
  }
  return errorReply(
    "session_evicted",
    `${what}: it was not done; what is known of client sessions reaches back to seq ${evictedSeq}, and ` +
      `"since" is ${since}: send it again with ${commitSeq}`,
    { since: commitSeq },
  );
}

/** What a session's entry says of those that had been evicted when it was written. */
export function evictedSeqOf({ value }: Entry): number {
  const { evicted_seq: evictedSeq = 0 } = JSON.parse(fromUtf8.decode(value)) as Remembered;
  return evictedSeq;
}

/**
 * The answer to a repeated request that its client session remembers. A refusal says so: whoever repeated it may tell
 * its caller that no attempt has happened or will.
 */
export function settled(request: KeyRequest, answer: Reply): Reply {
  if (
    answer.req_type !== "error" || !isRepeated(request) || clientSessionKey(request) === undefined
  ) {
    return answer;
  }
  // This one is no refusal.
  if (answer.code === "reply_not_kept") return answer;
  return { ...answer, settled: true };
}

/** What the client session remembers from now on. @param evictedSeq as of this change */
export function clientSessionChange(
  session: string,
  request: KeyRequest,
  reply: Reply,
  evictedSeq: number,
): Change {
  const requestNumber = ("request_number" in request ? request.request_number : undefined) ?? 0;
  const remember = (reply: Reply) =>
    JSON.stringify(
      {
        request_number: requestNumber,
        reply: wireForm(reply),
        evicted_seq: evictedSeq === 0 ? undefined : evictedSeq,
      } satisfies Remembered,
    );
  let text = remember(reply);
  if (text.length > CLIENT_SESSION_REPLY_CHARACTERS_MAX) text = remember(outcomeOf(request, reply));
  return { key: session, write: { flags: 0, value: utf8.encode(text), expiresAtMs: 0 } };
}

/** What is kept of an answer that is too long, as one that tells of a value before. */
function outcomeOf(request: KeyRequest, reply: Reply): Reply {
  if (reply.req_type === "error") {
    const { code, message, detail } = reply;
    const { version } = (detail ?? {}) as { version?: unknown };
    return {
      req_type: "error",
      code,
      message,
      ...(version === undefined ? {} : { detail: { version } }),
    };
  }
  const version = "version" in reply ? reply.version : undefined;
  return errorReply(
    "reply_not_kept",
    `${request.req_type}: it has happened${
      version === undefined ? "" : `, as version ${version}`
    }; its ` +
      `answer was longer than ${CLIENT_SESSION_REPLY_CHARACTERS_MAX} characters, and is not kept for a request that comes again`,
    version === undefined ? undefined : { version },
  );
}
