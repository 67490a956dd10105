/**
 * What is told about each call of a client: a line for `debug`, and a span of OpenTelemetry, if the program has set up a
 * tracer. The request names the span, so that what servers do for it is below it in the same trace.
 *
 * Invariants: a call is not changed by being observed. Neither keys nor values are told, since they may be secrets; a
 * program that wants them adds them itself.
 *
 * @module
 */
import {
  CLIENT_KIND,
  ERROR_STATUS,
  traceparentOf,
  type Tracer,
  type TraceSpan,
} from "../../shared/tracing/tracer.ts";
import type { Clock } from "../../shared/platform/clock.ts";

export type { Tracer, TraceSpan };

/** What `debug` is called with: what happened, and facts about it. */
export type DebugListener = (event: string, facts: Record<string, unknown>) => void;

/** Observes calls. */
export class CallTrace {
  readonly #clock: Clock;
  readonly #debug: DebugListener | undefined;
  readonly #tracer: Tracer | undefined;
  /** The cluster's name. */
  readonly #cluster: string;

  constructor(
    clock: Clock,
    cluster: string,
    { debug, tracer }: { debug: DebugListener | undefined; tracer: Tracer | undefined },
  ) {
    this.#clock = clock;
    this.#cluster = cluster;
    this.#debug = debug;
    this.#tracer = tracer;
  }

  /** @param call is given the name of its span, for the request; its outcome is passed on unchanged */
  async observe<T>(
    operation: string,
    call: (traceparent: string | undefined) => Promise<T>,
    codeOf: (result: T) => string | undefined,
  ): Promise<T> {
    const span = this.#tracer?.startSpan(operation, {
      kind: CLIENT_KIND,
      // The names of OpenTelemetry's conventions for databases.
      attributes: {
        "db.system.name": "kv",
        "db.namespace": this.#cluster,
        "db.operation.name": operation,
      },
    });
    const beganMs = this.#clock.monotonicMs();
    const end = (code: string | undefined) => {
      this.#debug?.("call", {
        operation,
        elapsedMs: this.#clock.monotonicMs() - beganMs,
        ...(code === undefined ? {} : { code }),
      });
      if (code !== undefined && code !== "not_found") {
        span?.setAttribute("error.type", code);
        span?.setStatus({ code: ERROR_STATUS });
      }
      span?.end();
    };
    try {
      const result = await call(span === undefined ? undefined : traceparentOf(span));
      end(codeOf(result));
      return result;
    } catch (error) {
      end(error instanceof Error ? error.name : "unknown");
      throw error;
    }
  }
}
