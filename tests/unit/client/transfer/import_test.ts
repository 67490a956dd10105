import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type ImportOptions, runImport } from "../../../../client/transfer/import_run.ts";
import type { ImportItem } from "../../../../client/transfer/import_format.ts";
import type { Clock, Timer } from "../../../../shared/platform/clock.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";

/** Time passes as soon as somebody waits for it. */
class ImpatientClock implements Clock {
  #nowMs = 0;
  monotonicMs(): number {
    return this.#nowMs;
  }
  wallMs(): number {
    return this.#nowMs;
  }
  setTimer(delayMs: number, callback: () => void): Timer {
    const due = this.#nowMs + delayMs;
    let cancelled = false;
    queueMicrotask(() => {
      this.#nowMs = Math.max(this.#nowMs, due);
      if (!cancelled) callback();
    });
    return { cancel: () => void (cancelled = true) };
  }
  defer(callback: () => void): void {
    queueMicrotask(callback);
  }
  afterSockets(callback: () => void): void {
    queueMicrotask(callback);
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);

async function* records(...list: (readonly [key: string, value: string])[]) {
  let line = 1;
  for (const [key, value] of list) yield { line: line++, key, value: bytes(value) };
}

function run(
  items: AsyncIterable<ImportItem>,
  put: (key: string, value: string) => Promise<unknown>,
  options: ImportOptions = {},
) {
  const target = {
    put: (key: string, value: Uint8Array) => put(key, new TextDecoder().decode(value)),
  };
  return runImport(
    items,
    target,
    { clock: new ImpatientClock(), random: new SeededRandom(1) },
    options,
  );
}

const fail = (code: ErrorCode) => Promise.reject(new KvError(code, `failed with ${code}`));

Deno.test("runImport writes every record and counts keys and repeated keys", async () => {
  const stored = new Map<string, string>();
  const summary = await run(
    records(["a", "1"], ["b", "2"], ["a", "3"], ["c", "4"], ["a", "5"]),
    async (key, value) => {
      // The first write of a key is the slowest.
      for (let i = stored.has(key) ? 0 : 50; i > 0; i--) await Promise.resolve();
      stored.set(key, value);
    },
  );
  assertEquals(Object.fromEntries(stored), { a: "5", b: "2", c: "4" });
  assertEquals([summary.records, summary.keys, summary.repeatedKeys, summary.written], [
    5,
    3,
    2,
    5,
  ]);
  assertEquals(summary.repeated, [{ line: 3, key: "a" }, { line: 5, key: "a" }]);
  assertEquals([summary.rejected, summary.retries, summary.stopped], [0, 0, undefined]);
});

Deno.test("runImport tries again what may be repeated, and keeps the order of a key", async () => {
  for (
    const code of [
      "unavailable",
      "outcome_unknown",
      "timeout",
      "overloaded",
      "not_primary",
    ] as const
  ) {
    const log: string[] = [];
    let failures = 3;
    const summary = await run(records(["a", "1"], ["a", "2"], ["b", "3"]), (key, value) => {
      log.push(key + value);
      return key === "a" && value === "1" && failures-- > 0 ? fail(code) : Promise.resolve();
    });
    assertEquals(log.filter((entry) => entry[0] === "a"), ["a1", "a1", "a1", "a1", "a2"], code);
    assertEquals([summary.written, summary.retries, summary.rejected], [3, 3, 0]);
  }
});

Deno.test("runImport lists lines that are no records and records that are refused", async () => {
  async function* items(): AsyncGenerator<ImportItem> {
    yield { line: 1, key: "a", value: bytes("1") };
    yield { line: 2, reason: "3 columns are required, 2 were found" };
    yield { line: 3, key: "long", value: bytes("2") };
  }
  const summary = await run(
    items(),
    (key) => key === "long" ? fail("value_too_large") : Promise.resolve(),
  );
  assertEquals([summary.records, summary.written, summary.rejected, summary.retries], [2, 1, 2, 0]);
  assertEquals(summary.rejectedRecords, [
    { line: 2, reason: "3 columns are required, 2 were found" },
    { line: 3, key: "long", code: "value_too_large", reason: "failed with value_too_large" },
  ]);
});

Deno.test("runImport gives one record up after its time, and goes on with the others", async () => {
  const summary = await run(
    records(["bad", "1"], ...Array.from({ length: 600 }, (_, i) => [`k${i}`, ""] as const)),
    (key) => key === "bad" ? fail("unavailable") : Promise.resolve(),
    { giveUpAfterMs: 5_000 },
  );
  assertEquals([summary.written, summary.rejected], [600, 1]);
  assertEquals(summary.rejectedRecords[0]?.code, "unavailable");
  assert(summary.retries > 5);
});

Deno.test("runImport stops if nothing can be written any more", async () => {
  let attempts = 0;
  const summary = await run(
    records(...Array.from({ length: 1_000 }, (_, i) => [`k${i}`, ""] as const)),
    () => {
      attempts++;
      return fail("unavailable");
    },
    { giveUpAfterMs: 1_000, inFlightMax: 4 },
  );
  assertStringIncludes(summary.stopped ?? "", "unavailable");
  assertEquals(summary.written, 0);
  assert(summary.records < 20, `${summary.records} records were begun`);
  assert(attempts < 200);
});

Deno.test("runImport bounds records and bytes on their way", async () => {
  let now = 0;
  let most = 0;
  let bytesNow = 0;
  let bytesMost = 0;
  const list = Array.from({ length: 500 }, (_, i) => [`k${i % 100}`, "x".repeat(i % 40)] as const);
  await run(records(...list), async (key, value) => {
    most = Math.max(most, ++now);
    bytesMost = Math.max(bytesMost, bytesNow += key.length + value.length);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    now--;
    bytesNow -= key.length + value.length;
  }, { inFlightMax: 16, bytesInFlightMax: 200 });
  assert(most > 4 && most <= 16, `${most} at once`);
  assert(bytesMost <= 200, `${bytesMost} bytes at once`);
});

Deno.test("runImport takes a record that is larger than all the bytes allowed, alone", async () => {
  const summary = await run(
    records(["a", "x".repeat(100)], ["b", "y".repeat(100)]),
    () => Promise.resolve(),
    { bytesInFlightMax: 10 },
  );
  assertEquals(summary.written, 2);
});

Deno.test("runImport ends with the reason of its signal", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  await assertRejects(
    () =>
      run(records(["a", ""], ["b", ""]), () => {
        controller.abort(reason);
        return fail("unavailable");
      }, { signal: controller.signal }),
    Error,
    "enough",
  );
});

Deno.test("runImport throws what the reader of the file throws", async () => {
  async function* items(): AsyncGenerator<ImportItem> {
    yield { line: 1, key: "a", value: bytes("") };
    throw new KvError("bad_request", "no such column");
  }
  await assertRejects(() => run(items(), () => Promise.resolve()), KvError, "no such column");
});
