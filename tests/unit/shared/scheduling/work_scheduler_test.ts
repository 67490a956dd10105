import { assert, assertEquals, assertRejects } from "@std/assert";
import { WorkScheduler } from "../../../../shared/scheduling/work_scheduler.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** A clock that steps move on while they run. */
class WorkingClock extends ManualClock {
  #workedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.#workedMs;
  }

  work(ms: number): void {
    this.#workedMs += ms;
  }
}

function jobs(clock: WorkingClock, names: readonly string[], steps: number, stepMs: number) {
  const scheduler = new WorkScheduler(clock, 10, 1_000);
  const ran: string[] = [];
  for (const name of names) {
    let left = steps;
    scheduler.add(() => {
      ran.push(name);
      clock.work(stepMs);
      return --left > 0;
    });
  }
  return { scheduler, ran };
}

Deno.test("WorkScheduler: a job on a quiet process runs inside the call", () => {
  const { ran, scheduler } = jobs(new WorkingClock(), ["a"], 3, 1);
  assertEquals(ran, ["a", "a", "a"]);
  assertEquals(scheduler.waiting, 0);
});

Deno.test("WorkScheduler: jobs take their steps round robin", () => {
  const clock = new WorkingClock();
  const { ran } = jobs(clock, ["a", "b", "c"], 4, 10);
  assertEquals(ran, ["a"]);
  for (let slice = 0; slice < 20; slice++) clock.advance(0);
  assertEquals(ran.join(""), "a" + "abc".repeat(3) + "bc");
});

Deno.test("WorkScheduler: between slices the timers that are due run", () => {
  const clock = new WorkingClock();
  const scheduler = new WorkScheduler(clock, 10, 1_000);
  const ran: string[] = [];
  let left = 6;
  clock.setTimer(0, () => ran.push("timer"));
  scheduler.add(() => {
    ran.push("step");
    clock.work(5);
    return --left > 0;
  });
  // A ping that is answered by a timer would be as late as this one is: after one slice.
  assertEquals(ran, ["step", "step"]);
  clock.advance(0);
  assertEquals(ran.slice(0, 4), ["step", "step", "timer", "step"]);
  assertEquals(ran.length, 7);
});

Deno.test("WorkScheduler: a slice ends by its number of steps when the clock stands still", () => {
  const clock = new ManualClock();
  const scheduler = new WorkScheduler(clock, 10, 8);
  let steps = 0;
  scheduler.add(() => ++steps < 20);
  assertEquals(steps, 8);
  clock.advance(0);
  assertEquals(steps, 20);
});

Deno.test("WorkScheduler: work that a step brings waits for its turn, behind the others", () => {
  const clock = new WorkingClock();
  const scheduler = new WorkScheduler(clock, 10, 1_000);
  const ran: string[] = [];
  scheduler.add(() => {
    ran.push("outer begins");
    scheduler.add(() => ran.push("inner") < 0);
    ran.push("outer ends");
    return false;
  });
  assertEquals(ran, ["outer begins", "outer ends", "inner"]);
});

Deno.test("WorkScheduler.run gives what the work gives, and rejects with what it throws", async () => {
  const scheduler = new WorkScheduler(new ManualClock());
  assertEquals(await scheduler.run(() => 7), 7);
  await assertRejects(
    () =>
      scheduler.run(() => {
        throw new Error("no");
      }),
    Error,
    "no",
  );
});

Deno.test("WorkScheduler: a step that throws does not keep the others from going on", () => {
  const clock = new WorkingClock();
  const scheduler = new WorkScheduler(clock, 10, 1_000);
  let ran = 0;
  scheduler.add(() => {
    clock.work(20);
    return false;
  });
  scheduler.add(() => {
    throw new Error("a defect");
  });
  scheduler.add(() => ++ran < 0);
  try {
    clock.advance(0);
  } catch (error) {
    assert(error instanceof Error && error.message === "a defect");
  }
  clock.advance(0);
  assertEquals(ran, 1);
});

Deno.test("WorkScheduler: a slice lasts from its first step, also if nothing runs meanwhile", () => {
  const clock = new ManualClock();
  const looks: (() => void)[] = [];
  clock.afterSockets = (callback) => void looks.push(callback);
  const work = new WorkScheduler(clock, 5);
  const ran: string[] = [];
  const step = (name: string) => () => {
    ran.push(name);
    return false;
  };
  work.add(step("first"));
  work.add(step("in the same slice"));
  clock.advance(5);
  work.add(step("after the sockets"));
  assertEquals([ran, looks.length], [["first", "in the same slice"], 1]);
  looks.shift()?.();
  assertEquals(ran.at(-1), "after the sockets");
});
