/**
 * OpenTelemetry, as far as it is used here. No package is imported: `@opentelemetry/api` announces itself under a symbol
 * of the process, and so does Deno if it is told to trace (`OTEL_DENO=true`).
 *
 * A request that is part of a trace says so by `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header),
 * and what a process does for it is a span below that one. A request that is not part of a trace costs nothing.
 *
 * Invariants: a request is not changed by being observed, but for its `traceparent`. Neither keys nor values are told.
 *
 * @module
 */

/** What names a span in a trace. */
export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** A span, as `@opentelemetry/api` has it. */
export interface TraceSpan {
  setAttribute(name: string, value: string | number | boolean): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
  spanContext?(): SpanContext;
}

/** A tracer, as `@opentelemetry/api` has it. */
export interface Tracer {
  startSpan(
    name: string,
    options?: { kind?: number; attributes?: Record<string, string | number | boolean> },
    context?: unknown,
  ): TraceSpan;
}

/** `SpanKind` and `SpanStatusCode.ERROR` of `@opentelemetry/api`. */
export const INTERNAL_KIND = 0;
export const SERVER_KIND = 1;
export const CLIENT_KIND = 2;
export const ERROR_STATUS = 2;

/** Where `@opentelemetry/api` 1.x keeps what the program has set up. */
const API = Symbol.for("opentelemetry.js.api.1");
/** Under this key a context has its span. */
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");
const SAMPLED = 1;
/** Of version 00; a later one may be longer, and begins in the same way. */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;
const TRACEPARENT_CHARACTERS_MAX = 128;

interface GlobalApi {
  readonly trace?: { getTracer(name: string, version?: string): Tracer };
}

/** The tracer that the process has set up; undefined if there is none. */
export function globalTracer(name: string, version: string): Tracer | undefined {
  const api = (globalThis as { [API]?: GlobalApi })[API];
  return api?.trace?.getTracer(name, version);
}

/** A span as a request names it; undefined if it is in no trace that somebody keeps. */
export function traceparentOf(span: TraceSpan): string | undefined {
  const context = span.spanContext?.();
  if (context === undefined || (context.traceFlags & SAMPLED) === 0) return undefined;
  const { traceId, spanId, traceFlags } = context;
  const text = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  return TRACEPARENT.test(text) ? text : undefined;
}

/** Undefined if it is none: whoever sends nonsense is served as if he had sent nothing. */
export function parseTraceparent(text: unknown): SpanContext | undefined {
  if (typeof text !== "string" || text.length > TRACEPARENT_CHARACTERS_MAX) return undefined;
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: parseInt(flags, 16) };
}

/** A context, as `startSpan` takes it, in which a span of another process is the current one. */
export function contextOf(parent: SpanContext): unknown {
  const remote = { spanContext: () => ({ ...parent, isRemote: true }) };
  const context = {
    getValue: (key: symbol) => key === SPAN_KEY ? remote : undefined,
    setValue: () => context,
    deleteValue: () => context,
  };
  return context;
}
