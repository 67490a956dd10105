/**
 * What makes a repeated request harmless. A caller that wants it names a *client session*, a name that it uses for
 * one request at a time, and numbers its requests there. With each write the partition keeps, in one
 * group with it, an entry of the client session: the number, and how the request was answered. A request that
 * comes again with the same number gets that answer, or, of a long one, whether it has happened. As an entry like any other it is replicated,
 * survives restarts and a change of primary. It is dropped when it has been
 * the client session's newest for CLIENT_SESSION_KEEP_MS of one primary's own time: dates of different machines may be far
 * apart, and a client session that went too early would let a request happen twice.
 *
 * A refusal of a first attempt is not remembered: it changed nothing. That of a later attempt is, since
 * the earlier one may still be on its way, and must not find another state of the key. Rule W8 of docs/replication.md.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  CLIENT_SESSION_KEEP_MS,
  CLIENT_SESSION_MARK_MS,
  CLIENT_SESSION_REPLY_CHARACTERS_MAX,
} from "../../shared/base/limits.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { CLIENT_SESSION_KEY_PREFIX } from "../../shared/validation/request_checks.ts";
import { isRepeated } from "../../shared/operations/repeat.ts";
import { errorReply, type Write } from "../../shared/operations/operation.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";

/** One change of a key, decided and not yet given a seq. */
export interface Change {
  readonly key: string;
  readonly write: Write;
}

interface Remembered {
  request_number: number;
  reply: Reply;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** The key of the request's client session, or undefined where it has none. */
export function clientSessionKey(request: KeyRequest): string | undefined {
  if (!("session" in request) || request.session === undefined) return undefined;
  return CLIENT_SESSION_KEY_PREFIX + request.session;
}

/** Whether a key is a client session's, which no user sees. */
export function isClientSessionKey(key: string): boolean {
  return key.startsWith(CLIENT_SESSION_KEY_PREFIX);
}

/**
 * How the request was answered when it was carried out, or undefined where it was not.
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

/** What the client session remembers from now on. */
export function clientSessionChange(
  session: string,
  request: KeyRequest,
  reply: Reply,
): Change {
  const requestNumber = ("request_number" in request ? request.request_number : undefined) ?? 0;
  const remember = (reply: Reply) =>
    JSON.stringify({ request_number: requestNumber, reply: wireForm(reply) } satisfies Remembered);
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

/** What a primary knows of the age of its client sessions: how far the partition was at some moments. */
export class SessionAges {
  readonly #marks: { readonly nowMs: number; readonly lastSeq: number }[] = [];
  /** Client sessions up to this seq may be dropped. */
  forgettableSeq = 0;
  /** What was dropped already. */
  sweptSeq = 0;

  /** Time passes. Called now and then while the partition is served. */
  tick(nowMs: number, lastSeq: number): void {
    const last = this.#marks.at(-1);
    if (last === undefined || nowMs - last.nowMs >= CLIENT_SESSION_MARK_MS) {
      this.#marks.push({ nowMs, lastSeq });
    }
    for (let first = this.#marks[0]; first !== undefined; first = this.#marks[0]) {
      if (nowMs - first.nowMs < CLIENT_SESSION_KEEP_MS) return;
      this.forgettableSeq = first.lastSeq;
      this.#marks.shift();
    }
  }
}
