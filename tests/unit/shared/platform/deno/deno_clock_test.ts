import { assertEquals } from "@std/assert";
import { DenoClock } from "../../../../../shared/platform/deno/deno_clock.ts";

Deno.test("deno clock: what waits for the sockets is called once each, in order, and not at once", async () => {
  const clock = new DenoClock();
  const called: number[] = [];
  await new Promise<void>((resolve) => {
    clock.afterSockets(() => called.push(1));
    clock.afterSockets(() => called.push(2));
    clock.afterSockets(resolve);
    assertEquals(called, []);
  });
  assertEquals(called, [1, 2]);
  await new Promise<void>((resolve) => clock.afterSockets(resolve));
  clock.close();
  await clock.ended;
});

Deno.test("deno clock: who waits when it is closed is called, and so is who comes later", async () => {
  const clock = new DenoClock();
  const waiting = new Promise<void>((resolve) => clock.afterSockets(resolve));
  clock.close();
  await waiting;
  await new Promise<void>((resolve) => clock.afterSockets(resolve));
  await clock.ended;
});
