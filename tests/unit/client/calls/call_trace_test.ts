import { assertEquals, assertRejects } from "@std/assert";
import { trace } from "@opentelemetry/api";
import { CallTrace } from "../../../../client/calls/call_trace.ts";
import { globalTracer } from "../../../../shared/tracing/tracer.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

interface Seen {
  name: string;
  attributes: Record<string, unknown>;
  status: number | undefined;
  ended: boolean;
}

/** A provider that remembers its spans. */
function provider(seen: Seen[]) {
  return {
    getTracer: () => ({
      startSpan(name: string, options: { attributes?: Record<string, unknown> } = {}) {
        const span: Seen = {
          name,
          attributes: { ...options.attributes },
          status: undefined,
          ended: false,
        };
        seen.push(span);
        return {
          setAttribute: (key: string, value: unknown) => span.attributes[key] = value,
          setStatus: ({ code }: { code: number }) => span.status = code,
          end: () => span.ended = true,
        };
      },
    }),
  };
}

const NAMED = { "db.system.name": "kv", "db.namespace": "shop" };

Deno.test("globalTracer: the tracer that @opentelemetry/api was given, and none without it", async () => {
  assertEquals(globalTracer("kv-client", "1"), undefined);
  const seen: Seen[] = [];
  trace.setGlobalTracerProvider(
    provider(seen) as unknown as Parameters<typeof trace.setGlobalTracerProvider>[0],
  );
  try {
    const calls = new CallTrace(new ManualClock(), "shop", {
      debug: undefined,
      tracer: globalTracer("kv-client", "1"),
    });
    assertEquals(await calls.observe("get", () => Promise.resolve(7), () => undefined), 7);
    const attributes = { ...NAMED, "db.operation.name": "get" };
    assertEquals(seen, [{ name: "get", attributes, status: undefined, ended: true }]);
  } finally {
    trace.disable();
  }
});

Deno.test("CallTrace: says how long a call took and how it ended; a key that is absent is no error", async () => {
  const seen: Seen[] = [];
  const told: unknown[] = [];
  const clock = new ManualClock();
  const tracer = provider(seen).getTracer();
  const calls = new CallTrace(clock, "shop", {
    debug: (event, facts) => told.push([event, facts]),
    tracer,
  });
  await calls.observe("put", () => {
    return Promise.resolve("timeout");
  }, (code) => code);
  await calls.observe("get", () => Promise.resolve("not_found"), (code) => code);
  await assertRejects(
    () =>
      calls.observe(
        "get",
        () => Promise.reject(new DOMException("x", "AbortError")),
        () => undefined,
      ),
  );
  assertEquals(told, [
    ["call", { operation: "put", elapsedMs: 0, code: "timeout" }],
    ["call", { operation: "get", elapsedMs: 0, code: "not_found" }],
    ["call", { operation: "get", elapsedMs: 0, code: "AbortError" }],
  ]);
  assertEquals(seen.map(({ status, ended }) => [status, ended]), [
    [2, true],
    [undefined, true],
    [2, true],
  ]);
  assertEquals(seen[0]?.attributes["error.type"], "timeout");
});
