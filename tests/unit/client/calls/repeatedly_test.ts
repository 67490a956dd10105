import { assertEquals, assertRejects } from "@std/assert";
import { repeatedly, type RepeatOptions } from "../../../../client/calls/repeatedly.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** Attempts that fail with these codes, one after the other, and then succeed. */
function setUp(codes: readonly (ErrorCode | Error)[], given: Partial<RepeatOptions> = {}) {
  const clock = new ManualClock();
  const begunMs = clock.monotonicMs();
  const attemptsMs: number[] = [];
  const options: RepeatOptions = {
    clock,
    repeat: "harmless",
    pauseMsMin: 10,
    pauseMsMax: 30,
    untilMs: () => begunMs + 1_000,
    ...given,
  };
  const done = repeatedly(options, () => {
    attemptsMs.push(clock.monotonicMs() - begunMs);
    const code = codes[attemptsMs.length - 1];
    if (code === undefined) return Promise.resolve("done");
    return Promise.reject(typeof code === "string" ? new KvError(code, `said ${code}`) : code);
  });
  done.catch(() => {});
  return { clock, attemptsMs, done };
}

Deno.test("repeatedly: tries again after growing pauses until it succeeds", async () => {
  let retries = 0;
  const onRetry = () => retries++;
  const { clock, attemptsMs, done } = setUp(["unavailable", "timeout", "overloaded"], { onRetry });
  await clock.run(100);
  assertEquals([await done, retries, attemptsMs], ["done", 3, [0, 10, 30, 60]]);
});

Deno.test("repeatedly: what may not be repeated ends it, and so does what has no code", async () => {
  for (const first of ["corrupt", new Error("boom")] as const) {
    const { attemptsMs, done } = setUp([first]);
    await assertRejects(() => done, Error, first instanceof Error ? "boom" : "said corrupt");
    assertEquals(attemptsMs.length, 1);
  }
  const { done } = setUp(["outcome_unknown"], { repeat: "harmful" });
  await assertRejects(() => done, KvError, "said outcome_unknown");
});

Deno.test("repeatedly: after the given moment the last error is the end", async () => {
  const { clock, attemptsMs, done } = setUp(new Array(99).fill("unavailable"), {
    untilMs: () => 70,
  });
  await clock.run(1_000);
  await assertRejects(() => done, KvError, "said unavailable");
  assertEquals((attemptsMs.at(-1) ?? 0) <= 100, true);
});

Deno.test("repeatedly: the signal's reason ends it", async () => {
  const controller = new AbortController();
  const { clock, attemptsMs, done } = setUp(new Array(99).fill("unavailable"), {
    signal: controller.signal,
  });
  await clock.run(5);
  controller.abort(new Error("enough"));
  await clock.run(100);
  await assertRejects(() => done, Error, "enough");
  assertEquals(attemptsMs, [0]);
});
