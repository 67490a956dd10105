/**
 * Counts and times the requests of a process, of all its front ends. It is on the path of every request, so it reads
 * the clock at most twice in a turn: when the first request of the turn arrives, and at the end of the turn. That is
 * also what a client waits for: requests that arrive together are read together, and answers leave at the end of the
 * turn in which they are made.
 *
 * Invariants: a request that is given to {@linkcode RequestMetrics.ended} is counted once; the number of series is
 * bounded by the tables of operations and of error codes.
 *
 * @module
 */
import {
  COUNTED_OPERATIONS_MAX,
  ENDED_PER_TURN_MAX,
  REQUEST_SECONDS_BUCKETS,
} from "../limits/requests.ts";
import { isErrorCode } from "../base/errors.ts";
import type { Clock } from "../platform/clock.ts";
import { TurnTime } from "../platform/turn_time.ts";
import type { Address } from "../platform/transport.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSet } from "./metric_set.ts";
import { parseTraceparent } from "../tracing/tracer.ts";
import { SlowLog } from "./slow_log.ts";

/** Where a request comes in. `peer`: over the wire, from another process of the cluster, which has counted it too. */
export type FrontEnd = "wire" | "peer" | "http" | "resp";

export const FRONT_ENDS: readonly FrontEnd[] = ["wire", "peer", "http", "resp"];

/** What is not in any table, such as a command that does not exist. */
export const UNKNOWN_OPERATION = "unknown";

/** The requests of one operation at one front end. */
export class RequestSeries {
  readonly frontEnd: FrontEnd;
  readonly operation: string;
  readonly latency = new Histogram(REQUEST_SECONDS_BUCKETS);
  readonly errors = new Map<string, number>();
  ok = 0;

  constructor(frontEnd: FrontEnd, operation: string) {
    this.frontEnd = frontEnd;
    this.operation = operation;
  }
}

/** A request that has ended in this turn. */
interface Ended {
  series: RequestSeries | undefined;
  beganMs: number;
  code: string | undefined;
  /** What was asked; its `key`, if it has one, is shown if it was slow. */
  asked: object | undefined;
  remote: Address | undefined;
}

/** Counts requests. One for a process. */
export class RequestMetrics {
  readonly slow: SlowLog;
  readonly #clock: Clock;
  readonly #series: { readonly [F in FrontEnd]: Map<string, RequestSeries> } = {
    wire: new Map(),
    peer: new Map(),
    http: new Map(),
    resp: new Map(),
  };
  /** Used again in each turn, so that a request costs no allocation. */
  readonly #ended: Ended[] = [];
  #endedCount = 0;
  readonly #turn: TurnTime;
  #turnEndScheduled = false;

  constructor(clock: Clock, slow = new SlowLog()) {
    this.#clock = clock;
    this.#turn = new TurnTime(clock);
    this.slow = slow;
  }

  /** Where requests of an operation are counted. @param operation from a table, never what a client has made up */
  series(frontEnd: FrontEnd, operation: string): RequestSeries {
    const all = this.#series[frontEnd];
    const known = all.get(operation);
    if (known !== undefined) return known;
    if (all.size >= COUNTED_OPERATIONS_MAX && operation !== UNKNOWN_OPERATION) {
      return this.series(frontEnd, UNKNOWN_OPERATION);
    }
    const series = new RequestSeries(frontEnd, operation);
    all.set(operation, series);
    return series;
  }

  /** A request arrives. @returns when, for {@linkcode ended} */
  beganMs(): number {
    return this.#turn.monotonicMs();
  }

  /**
   * A request is answered.
   *
   * @param code of the error; undefined if it is none
   * @param asked the request: if it was slow, its `key` is shown
   */
  ended(
    series: RequestSeries,
    beganMs: number,
    code: string | undefined,
    asked?: object,
    remote?: Address,
  ): void {
    if (code === undefined) series.ok++;
    else {
      // Another process may have sent it, of another version.
      const known = isErrorCode(code) ? code : "internal";
      series.errors.set(known, (series.errors.get(known) ?? 0) + 1);
    }
    this.#scheduleTurnEnd();
    const known = this.#ended[this.#endedCount++];
    if (known === undefined) this.#ended.push({ series, beganMs, code, asked, remote });
    else {
      known.series = series;
      known.beganMs = beganMs;
      known.code = code;
      known.asked = asked;
      known.remote = remote;
    }
    if (this.#endedCount >= ENDED_PER_TURN_MAX) this.#time();
  }

  /** Puts what was counted into a set. */
  collect(set: MetricSet): void {
    this.#time();
    for (const frontEnd of FRONT_ENDS) {
      for (const { operation, latency, errors, ok } of this.#series[frontEnd].values()) {
        // A series that has only errors has no `ok` of 0: it may be a right that nobody has.
        if (ok > 0) set.set("kv_requests_total", ok, frontEnd, operation, "ok");
        for (const [code, count] of errors) {
          set.set("kv_requests_total", count, frontEnd, operation, code);
        }
        set.histogram("kv_request_seconds", latency.state(), frontEnd, operation);
      }
    }
    set.set("kv_slow_requests_total", this.slow.total);
  }

  #scheduleTurnEnd(): void {
    if (this.#turnEndScheduled) return;
    this.#turnEndScheduled = true;
    this.#clock.defer(this.#onTurnEnd);
  }

  readonly #onTurnEnd = (): void => {
    this.#turnEndScheduled = false;
    this.#time();
  };

  /** Takes the time of all that have ended since the last call. */
  #time(): void {
    if (this.#endedCount === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (let i = 0; i < this.#endedCount; i++) {
      const ended = this.#ended[i];
      if (ended?.series === undefined) continue;
      const elapsedMs = nowMs - ended.beganMs;
      ended.series.latency.observe(elapsedMs / 1_000);
      if (elapsedMs >= this.slow.thresholdMs) this.#noteSlow(ended.series, ended, elapsedMs);
      // What it refers to may be large.
      ended.asked = ended.series = undefined;
    }
    this.#endedCount = 0;
  }

  #noteSlow(
    { frontEnd, operation }: RequestSeries,
    { code, asked, remote }: Ended,
    elapsedMs: number,
  ): void {
    const key = asked !== undefined && "key" in asked && typeof asked.key === "string"
      ? asked.key
      : undefined;
    const atMs = this.#clock.wallMs();
    const slow = { atMs, elapsedMs, frontEnd, operation, code: code ?? "ok" };
    const traceparent = asked !== undefined && "traceparent" in asked
      ? asked.traceparent
      : undefined;
    this.slow.add(slow, key, remote, parseTraceparent(traceparent)?.traceId);
  }
}
