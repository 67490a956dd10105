/**
 * What is told about each call of a client: a line for `debug`, and a span of OpenTelemetry. It imports no package:
 * `@opentelemetry/api` announces itself under a symbol of the process, and is used if it is there.
 *
 * Invariants: a call is not changed by being observed. Neither keys nor values are told, since they may be secrets; a
 * program that wants them adds them itself.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";

/** A span, as `@opentelemetry/api` has it. */
export interface TraceSpan {
  setAttribute(name: string, value: string | number | boolean): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

/** A tracer, as `@opentelemetry/api` has it. */
export interface Tracer {
  startSpan(
    name: string,
    options?: { kind?: number; attributes?: Record<string, string | number | boolean> },
  ): TraceSpan;
}

/** What `debug` is called with: what happened, and facts about it. */
export type DebugListener = (event: string, facts: Record<string, unknown>) => void;

/** `SpanKind.CLIENT` and `SpanStatusCode.ERROR` of `@opentelemetry/api`. */
const CLIENT_KIND = 2;
const ERROR_STATUS = 2;
/** Where `@opentelemetry/api` 1.x keeps what the program has set up. */
const API = Symbol.for("opentelemetry.js.api.1");

interface GlobalApi {
  readonly trace?: { getTracer(name: string, version?: string): Tracer };
}

/** The tracer that the process has set up; undefined if there is none. */
export function globalTracer(version: string): Tracer | undefined {
  const api = (globalThis as { [API]?: GlobalApi })[API];
  return api?.trace?.getTracer("kv-client", version);
}

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

  /** @param call as it was begun; its outcome is passed on unchanged */
  async observe<T>(
    operation: string,
    call: () => Promise<T>,
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
      const result = await call();
      end(codeOf(result));
      return result;
    } catch (error) {
      end(error instanceof Error ? error.name : "unknown");
      throw error;
    }
  }
}
