import { assertEquals } from "@std/assert";
import { TurnTime } from "../../../../shared/platform/turn_time.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** Its times go on with each look. */
class RunningClock extends ManualClock {
  looks = 0;

  override monotonicMs(): number {
    return ++this.looks;
  }

  override wallMs(): number {
    return 1_000 + ++this.looks;
  }
}

Deno.test("TurnTime looks at each clock once in a turn, and again in the next", () => {
  const clock = new RunningClock();
  const turn = new TurnTime(clock);
  assertEquals([turn.monotonicMs(), turn.monotonicMs()], [1, 1]);
  assertEquals([turn.wallMs(), turn.wallMs(), turn.monotonicMs()], [1_002, 1_002, 1]);
  clock.settle();
  assertEquals([turn.wallMs(), turn.monotonicMs()], [1_003, 4]);
});

Deno.test("TurnTime does not look at the clock in a turn in which nobody asks", () => {
  const clock = new RunningClock();
  const turn = new TurnTime(clock);
  turn.monotonicMs();
  clock.settle();
  clock.settle();
  assertEquals(clock.looks, 1);
});
