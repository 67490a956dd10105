import { assert, assertEquals } from "@std/assert";
import { CLOCK_DRIFT_MAX } from "../../../shared/limits/membership.ts";
import { EXACT_CLOCK, Scheduler } from "./scheduler.ts";

Deno.test("Scheduler runs events in the order of their times, and what they defer before the next", async () => {
  const scheduler = new Scheduler(1);
  const process = scheduler.spawn("p", "h", EXACT_CLOCK);
  const seen: string[] = [];
  for (const ms of [5, 1, 3, 1]) {
    scheduler.after(ms, process, () => {
      seen.push(`${ms}`);
      process.clock.defer(() => seen.push("deferred"));
      Promise.resolve().then(() => seen.push("promise"));
    });
  }
  await scheduler.run(10);
  assertEquals(
    seen.join(" "),
    "1 deferred promise 1 deferred promise 3 deferred promise 5 deferred promise",
  );
  assertEquals(scheduler.nowMs, 10);
});

Deno.test("SimProcess: nothing of a dead one runs; a paused one catches up", async () => {
  const scheduler = new Scheduler(1);
  const dead = scheduler.spawn("d", "d", EXACT_CLOCK);
  const paused = scheduler.spawn("p", "p", EXACT_CLOCK);
  const seen: string[] = [];
  dead.clock.setTimer(1, () => seen.push("dead"));
  scheduler.after(3, paused, () => seen.push("io"));
  paused.clock.setTimer(5, () => seen.push("timer"));
  dead.kill();
  paused.pause();
  await scheduler.run(20);
  assertEquals(seen, []);
  paused.resume("timers first");
  await scheduler.run(0);
  assertEquals(seen, ["timer", "io"]);
  assertEquals([dead.timers, paused.timers], [0, 0]);
});

Deno.test("SimProcess: what comes to a slow one waits in its order until the step before is over", async () => {
  const scheduler = new Scheduler(1);
  const slow = scheduler.spawn("s", "s", EXACT_CLOCK);
  const seen: string[] = [];
  const note = (name: string) => () => seen.push(`${name} ${scheduler.nowMs}`);
  slow.stepMs = 5;
  for (const [ms, name] of [[1, "a"], [2, "b"], [3, "c"], [20, "d"]] as const) {
    scheduler.after(ms, slow, note(name));
  }
  scheduler.after(4, undefined, note("other"));
  await scheduler.run(30);
  assertEquals(seen, ["a 1", "other 4", "b 6", "c 11", "d 20"]);
});

Deno.test("SimClock: timers are never early, and two clocks differ by no more than is allowed", async () => {
  const scheduler = new Scheduler(1);
  const clocks = [-1, 0, 1].map((drift) =>
    scheduler.spawn("p", "h", { offsetMs: 7, wallOffsetMs: 0, drift }).clock
  );
  for (const clock of clocks) {
    const dueMs = clock.monotonicMs() + 1_000;
    clock.setTimer(1_000, () => assert(clock.monotonicMs() >= dueMs));
  }
  await scheduler.run(100_000);
  const [slow = 0, , fast = 0] = clocks.map((clock) => clock.monotonicMs() - 7);
  assert(Math.abs(fast / slow - (1 + CLOCK_DRIFT_MAX)) < 1e-9);
});

Deno.test("SimProcess.suspend: the monotonic clock and the timers stand still, the date goes on", async () => {
  const scheduler = new Scheduler(1);
  const process = scheduler.spawn("p", "p", EXACT_CLOCK);
  const ran: [string, number][] = [];
  const { clock } = process;
  const wallMs = clock.wallMs();
  const note = (what: string) => ran.push([what, Math.floor(clock.monotonicMs())]);
  clock.setTimer(100, () => note("due while it sleeps"));
  clock.setTimer(5_000, () => note("due later"));
  await scheduler.run(50);
  process.suspend();
  scheduler.after(500, process, () => note("came while it slept"));
  await scheduler.run(1_000);
  assertEquals(ran, []);
  assertEquals(clock.monotonicMs(), 50);
  process.resume("as it came");
  await scheduler.run(10_000);
  assertEquals(ran.map(([what]) => what), [
    "came while it slept",
    "due while it sleeps",
    "due later",
  ]);
  const [came, slept, later] = ran.map(([, ms]) => ms);
  assertEquals(came, 50);
  for (const [ms, due] of [[slept, 100], [later, 5_000]] as const) {
    assert(ms !== undefined && ms >= due && ms <= due + 2, `${ms} ms`);
  }
  assertEquals(clock.wallMs() - wallMs, 11_050);
  assertEquals(clock.monotonicMs(), 10_050);
});
