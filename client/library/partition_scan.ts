/**
 * Reads every key of a cluster, partition by partition at its primary, a page at a time, and rides
 * through failures: reading goes on after the last key at whoever is primary then.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { findNode, whyNoPrimary } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { fromWireEntry } from "../../shared/schema/value_codec.ts";
import { type KeyRouter, type KvEntry, replyError, withSignal } from "../calls/call.ts";
import { toKvEntry } from "./ordered_scan.ts";

const BACKOFF_MS = 50;
const BACKOFF_MS_MAX = 500;
/** A node that hangs must not use up the whole time: its successor is asked afresh. */
const ATTEMPT_MS = 2_000;

/** How to read. */
export interface ScanOptions {
  clock: Clock;
  router: KeyRouter;
  /** Bound of the time without progress. */
  timeoutMs: number;
  signal: AbortSignal | undefined;
  /** @throws {KvError} once the client is closed */
  checkOpen(): void;
}

/** All live entries. @throws {KvError} the error that stays until the time is over */
export async function* scanCluster(options: ScanOptions): AsyncGenerator<KvEntry, void, void> {
  const { router } = options;
  const { settings } = router.map() ?? await router.refresh();
  for (let partition = 0; partition < settings.partitionCount; partition++) {
    let after: string | undefined;
    do {
      const page = await readPage(partition, after, options);
      // What has expired is left out by the primary: one clock decides that (W7).
      for (const entry of page.entries) yield toKvEntry(fromWireEntry(entry));
      after = page.next;
    } while (after !== undefined);
  }
}

/** One page, whoever is primary, until the time has passed in vain. */
async function readPage(
  partition: number,
  after: string | undefined,
  options: ScanOptions,
): Promise<Message<"entries">> {
  const { clock, router, signal, timeoutMs } = options;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (let attempt = 0;; attempt++) {
    options.checkOpen();
    const reply = await askPrimary(partition, after, deadlineMs - clock.monotonicMs(), options);
    if (reply.req_type === "entries") return reply;
    const error = replyError(reply, `scan of partition ${partition}`);
    const backoffMs = Math.min(BACKOFF_MS * 2 ** attempt, BACKOFF_MS_MAX);
    const tryAgain = error.retryable || error.code === "outcome_unknown" ||
      error.code === "timeout";
    if (!tryAgain) throw error;
    if (clock.monotonicMs() + backoffMs >= deadlineMs) {
      // Of a read, that the outcome is not known says only that no answer came.
      const code = error.code === "outcome_unknown" ? "timeout" : error.code;
      const text = `gave up reading partition ${partition} after ${timeoutMs} ms without progress`;
      throw new KvError(code, `${text}; last: ${error.message}`, { cause: error });
    }
    await withSignal<void>(signal, (done) => {
      const timer = clock.setTimer(backoffMs, done);
      return () => timer.cancel();
    });
    // Where nobody answers, the map at hand is as good as any.
    await router.refresh().catch(() => {});
  }
}

function askPrimary(
  partition: number,
  after: string | undefined,
  leftMs: number,
  { router, signal }: ScanOptions,
): Promise<Reply> {
  return withSignal(signal, (done) => {
    const map = router.map();
    const primary = map && findNode(map, map.partitions[partition]?.primary);
    if (primary === undefined) {
      const text = whyNoPrimary(map, partition);
      done({ req_type: "error", code: "unavailable", message: text });
      return () => {};
    }
    const attemptMs = Math.max(1, Math.ceil(Math.min(leftMs, ATTEMPT_MS)));
    const message = {
      req_type: "scan_partition",
      partition,
      timeout_ms: attemptMs,
      ...(after === undefined ? {} : { after }),
    };
    router.request(primary.id, message, attemptMs, done);
    return () => {};
  });
}
