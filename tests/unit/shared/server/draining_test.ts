import { assertEquals } from "@std/assert";
import { RETIRE_MS, STOP_GRACE_MS } from "../../../../shared/limits/connections.ts";
import { Draining } from "../../../../shared/server/draining.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** A connection that does as it is told, or not. */
function connection(draining: Draining, kind: "good" | "busy" | "stuck") {
  const self = {
    outstanding: 1,
    told: [] as string[],
    retire() {
      self.told.push("retire");
      if (kind === "good") draining.delete(self);
    },
    endInput() {
      self.told.push("end input");
      if (kind === "busy") draining.delete(self);
    },
  };
  draining.add(self);
  return self;
}

Deno.test("Draining.drain: each connection is retired, then its input ends, and the time is bounded", async () => {
  const clock = new ManualClock();
  const draining = new Draining(clock);
  const good = connection(draining, "good");
  const busy = connection(draining, "busy");
  const stuck = connection(draining, "stuck");
  assertEquals(draining.outstanding, 3);
  let left: number | undefined;
  draining.drain().then((count) => left = count);
  const late = connection(draining, "good");
  await clock.run(RETIRE_MS);
  assertEquals(good.told, ["retire"]);
  assertEquals(late.told, ["retire"]);
  assertEquals(busy.told, ["retire", "end input"]);
  assertEquals([left, draining.outstanding], [undefined, 1]);
  await clock.run(STOP_GRACE_MS - RETIRE_MS);
  assertEquals([left, stuck.told], [1, ["retire", "end input"]]);
});

Deno.test("Draining.drain ends with the last connection", async () => {
  const clock = new ManualClock();
  const draining = new Draining(clock);
  assertEquals(await draining.drain(), 0);
  const busy = connection(draining, "stuck");
  const drained = draining.drain();
  draining.delete(busy);
  assertEquals(await drained, 0);
});
