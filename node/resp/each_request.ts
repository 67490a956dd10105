/**
 * Several requests, each by itself, and all their replies in order; a bounded number of them run at a time.
 *
 * @module
 */
import { failureOf } from "../../shared/base/errors.ts";
import { toErrorReply } from "../../shared/wire/error_reply.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { eachInParallel } from "../../shared/scheduling/in_parallel.ts";
import { valueOfReply } from "../../shared/schema/value_codec.ts";

/** Carries out one request, and calls back once. */
export type Execute = (request: KeyRequest, done: (reply: Reply) => void) => void;

/** The bounds: how much may run, and how much the replies may contain. */
export interface EachLimits {
  readonly inFlightMax: number;
  /** Bytes of the values of all replies together; values beyond it become errors. */
  readonly replyBytesMax: number;
}

/** Carries out the requests; `done` gets the replies in the order of the requests. */
export function executeEach(
  requests: readonly KeyRequest[],
  { inFlightMax, replyBytesMax }: EachLimits,
  execute: Execute,
  done: (replies: readonly Reply[]) => void,
): void {
  const replies = new Array<Reply>(requests.length);
  let bytes = 0;
  eachInParallel(requests.length, inFlightMax, (index, ended) => {
    const settle = (reply: Reply) => {
      if (reply.req_type === "data") bytes += valueOfReply(reply).length;
      replies[index] = bytes > replyBytesMax ? tooLarge(replyBytesMax) : reply;
      ended();
    };
    try {
      execute(requests[index] as KeyRequest, settle);
    } catch (error) {
      settle(toErrorReply(failureOf(error)));
    }
  }, () => done(replies));
}

function tooLarge(bytesMax: number): Reply {
  return {
    req_type: "error",
    code: "frame_too_large",
    message:
      `the values come to more than ${bytesMax} bytes together; ask for fewer keys at a time`,
  };
}
