/** Traces: what names a span, and the spans of a process that serves requests. */
import { assertEquals } from "@std/assert";
import { RequestTracing, type Traced } from "../../../../shared/tracing/request_tracing.ts";
import {
  parseTraceparent,
  type SpanContext,
  traceparentOf,
  type TraceSpan,
} from "../../../../shared/tracing/tracer.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`;
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");

Deno.test("parseTraceparent: what W3C Trace Context allows, and nothing else", () => {
  const parsed = { traceId: TRACE, spanId: "b7ad6b7169203331", traceFlags: 1 };
  assertEquals(parseTraceparent(PARENT), parsed);
  assertEquals(parseTraceparent(`cc-${PARENT.slice(3)}-what-comes-later`), parsed);
  for (
    const text of [
      "",
      PARENT.toUpperCase(),
      PARENT.slice(0, -1),
      `${PARENT}0`,
      `ff${PARENT.slice(2)}`,
      `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      `00-${TRACE}-${"0".repeat(16)}-01`,
      `${PARENT}-${"x".repeat(200)}`,
      7,
      null,
      undefined,
    ]
  ) {
    assertEquals(parseTraceparent(text), undefined, String(text));
  }
});

Deno.test("traceparentOf: only of a span that somebody keeps", () => {
  const span = (context?: SpanContext): TraceSpan => ({
    setAttribute: () => {},
    setStatus: () => {},
    end: () => {},
    ...(context === undefined ? {} : { spanContext: () => context }),
  });
  const context = { traceId: TRACE, spanId: "b7ad6b7169203331", traceFlags: 1 };
  assertEquals(traceparentOf(span(context)), PARENT);
  assertEquals(traceparentOf(span({ ...context, traceFlags: 0 })), undefined);
  assertEquals(traceparentOf(span({ ...context, spanId: "nonsense" })), undefined);
  assertEquals(traceparentOf(span()), undefined);
});

Deno.test("RequestTracing.follow: a request of a trace gets a span below its parent, and names it; others get none", () => {
  const spans: { name: string; parent: unknown; told: unknown[] }[] = [];
  const tracing = new RequestTracing({
    startSpan(name, _options, context) {
      const parent = (context as { getValue(key: symbol): TraceSpan }).getValue(SPAN_KEY);
      const told: unknown[] = [];
      spans.push({ name, parent: parent.spanContext?.().spanId, told });
      return {
        setAttribute: (key, value) => told.push(`${key}=${value}`),
        setStatus: ({ code }) => told.push(code),
        end: () => told.push("end"),
        spanContext: () => ({ traceId: TRACE, spanId: "00000000000000aa", traceFlags: 1 }),
      };
    },
  }, { "kv.node": "n1" });
  const answers: Reply[] = [];
  const follow = (traceparent: string | undefined, answer: Reply) => {
    const request: Traced & { req_type: string } = {
      req_type: "put",
      ...(traceparent === undefined ? {} : { traceparent }),
    };
    tracing.follow(request, (reply: Reply) => answers.push(reply))(answer);
    return request.traceparent;
  };
  const ack = { req_type: "ack", message: "success" } as const;
  assertEquals(follow(PARENT, ack), `00-${TRACE}-00000000000000aa-01`);
  assertEquals(spans, [{ name: "put", parent: "b7ad6b7169203331", told: ["end"] }]);
  follow(PARENT, { req_type: "error", code: "timeout", message: "" });
  assertEquals(spans[1]?.told, ["error.type=timeout", 2, "end"]);
  follow(PARENT, { req_type: "error", code: "not_found", message: "" });
  assertEquals(spans[2]?.told, ["end"]);
  const unsampled = `${PARENT.slice(0, -2)}00`;
  for (const text of [undefined, "nonsense", unsampled]) assertEquals(follow(text, ack), text);
  assertEquals([spans.length, answers.length], [3, 6]);
});
