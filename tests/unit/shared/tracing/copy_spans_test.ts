/** The spans of a traced write's copies: when each ends, and how. */
import { assertEquals } from "@std/assert";
import { CopySpans } from "../../../../shared/tracing/copy_spans.ts";
import { TRACED_WRITES_MAX } from "../../../../shared/limits/requests.ts";
import { RequestTracing } from "../../../../shared/tracing/request_tracing.ts";

const TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function setUp() {
  const told: string[] = [];
  let begun = 0;
  const tracing = new RequestTracing({
    startSpan(name, options) {
      begun++;
      const replica = options?.attributes?.["kv.replica"];
      let outcome = "";
      return {
        setAttribute: (_, value) => outcome = ` ${value}`,
        setStatus: () => {},
        end: () => told.push(`${name} ${replica}${outcome}`),
      };
    },
  }, {});
  const spans = new CopySpans(tracing);
  return { spans, told: () => told.splice(0), begun: () => begun };
}

Deno.test("CopySpans: each copy's span ends when that replica has the write on its disk", () => {
  const { spans, told } = setUp();
  spans.begin(TRACED, 5, ["a", "b"]);
  spans.begin(TRACED, 7, ["a", "b"]);
  spans.onDisk("a", 4);
  assertEquals(told(), []);
  spans.onDisk("a", 6);
  assertEquals(told(), ["replicate a"]);
  spans.onDisk("b", 7);
  assertEquals(told(), ["replicate b", "replicate b"]);
  spans.onDisk("a", 9);
  assertEquals(told(), ["replicate a"]);
  spans.onDisk("a", 9);
  assertEquals(told(), []);
});

Deno.test("CopySpans: for whom nobody waits any more, they end with an error", () => {
  const { spans, told } = setUp();
  spans.begin(TRACED, 5, ["a", "b"]);
  spans.onLeft(["a"]);
  assertEquals(told(), ["replicate b unavailable"]);
  spans.onLeft([]);
  assertEquals(told(), ["replicate a unavailable"]);
});

Deno.test("CopySpans: what is in no trace has none, and what is open is bounded", () => {
  const { spans, told, begun } = setUp();
  spans.begin(undefined, 1, ["a"]);
  spans.begin(TRACED.replace(/01$/, "00"), 2, ["a"]);
  assertEquals(begun(), 0);
  for (let i = 0; i < TRACED_WRITES_MAX + 10; i++) spans.begin(TRACED, 3 + i, ["a"]);
  assertEquals(begun(), TRACED_WRITES_MAX);
  spans.onDisk("a", 2_000);
  assertEquals(told().length, TRACED_WRITES_MAX);
});
