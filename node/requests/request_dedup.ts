/**
 * What makes a repeated request harmless. A caller that wants it names a *lane*, a name that it uses for
 * one request at a time, and numbers its requests there. With each write the partition keeps, in one
 * group with it, an entry of the lane: the number, and how the request was answered. A request that
 * comes again with the same number gets that answer, or, of a long one, whether it has happened. As an entry like any other it is replicated,
 * survives restarts and a change of primary. It is dropped when it has been
 * the lane's newest for LANE_KEEP_MS of one primary's own time: dates of different machines may be far
 * apart, and a lane that went too early would let a request happen twice.
 *
 * A refusal of a first attempt is not remembered: it changed nothing. That of a later attempt is, since
 * the earlier one may still be on its way, and must not find another state of the key. Rule W8 of docs/replication.md.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { LANE_KEEP_MS, LANE_MARK_MS, LANE_REPLY_CHARACTERS_MAX } from "../../shared/base/limits.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { LANE_KEY_PREFIX } from "../../shared/validation/request_checks.ts";
import { errorReply, type Write } from "../../shared/operations/operation.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";

/** One change of a key, decided and not yet given a seq. */
export interface Change {
  readonly key: string;
  readonly write: Write;
}

interface Remembered {
  op: number;
  reply: Reply;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** The key of the request's lane, or undefined where it has none. */
export function laneKey(request: KeyRequest): string | undefined {
  if (!("lane" in request) || request.lane === undefined) return undefined;
  return LANE_KEY_PREFIX + request.lane;
}

/** Whether a key is a lane's, which no user sees. */
export function isLaneKey(key: string): boolean {
  return key.startsWith(LANE_KEY_PREFIX);
}

/**
 * How the request was answered when it was carried out, or undefined where it was not.
 *
 * @throws {KvError} `bad_request` for a number that the lane has passed, or for none
 */
export function rememberedReply(request: KeyRequest, lane: Entry | undefined): Reply | undefined {
  const op = "op" in request ? request.op : undefined;
  if (op === undefined) {
    throw new KvError("bad_request", `a "lane" needs an "op", a whole number`);
  }
  if (lane === undefined || isTombstone(lane)) return undefined;
  const remembered = JSON.parse(fromUtf8.decode(lane.value)) as Remembered;
  if (remembered.op === op) return remembered.reply;
  if (remembered.op < op) return undefined;
  throw new KvError(
    "bad_request",
    `"op" is ${op}, and the lane has passed ${remembered.op}`,
  );
}

/** Whether an earlier attempt of the request may be under way. */
export function isRepeated(request: KeyRequest): boolean {
  return "again" in request && request.again === true;
}

/**
 * The answer to a repeated request that its lane remembers. A refusal says so: whoever repeated it may tell
 * its caller that no attempt has happened or will.
 */
export function settled(request: KeyRequest, answer: Reply): Reply {
  if (answer.req_type !== "error" || !isRepeated(request) || laneKey(request) === undefined) {
    return answer;
  }
  // This one is no refusal.
  if (answer.code === "reply_not_kept") return answer;
  return { ...answer, settled: true };
}

/** What the lane remembers from now on. */
export function laneChange(
  lane: string,
  request: KeyRequest,
  reply: Reply,
): Change {
  const op = ("op" in request ? request.op : undefined) ?? 0;
  const remember = (reply: Reply) =>
    JSON.stringify({ op, reply: wireForm(reply) } satisfies Remembered);
  let text = remember(reply);
  if (text.length > LANE_REPLY_CHARACTERS_MAX) text = remember(outcomeOf(request, reply));
  return { key: lane, write: { flags: 0, value: utf8.encode(text), expiresAtMs: 0 } };
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
      `answer was longer than ${LANE_REPLY_CHARACTERS_MAX} characters, and is not kept for a request that comes again`,
    version === undefined ? undefined : { version },
  );
}

/** What a primary knows of the age of its lanes: how far the partition was at some moments. */
export class LaneAges {
  readonly #marks: { readonly nowMs: number; readonly lastSeq: number }[] = [];
  /** Lanes up to this seq may be dropped. */
  forgettableSeq = 0;
  /** What was dropped already. */
  sweptSeq = 0;

  /** Time passes. Called now and then while the partition is served. */
  tick(nowMs: number, lastSeq: number): void {
    const last = this.#marks.at(-1);
    if (last === undefined || nowMs - last.nowMs >= LANE_MARK_MS) {
      this.#marks.push({ nowMs, lastSeq });
    }
    for (let first = this.#marks[0]; first !== undefined; first = this.#marks[0]) {
      if (nowMs - first.nowMs < LANE_KEEP_MS) return;
      this.forgettableSeq = first.lastSeq;
      this.#marks.shift();
    }
  }
}
