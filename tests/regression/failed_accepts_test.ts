/**
 * Each accept that failed, because its connection was reset before it, paused accepting for 50 ms: with
 * 82 of them a second a new connection waited 27 s. Only want of descriptors or memory is worth a pause.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { acceptAll } from "../../shared/platform/deno/deno_accept.ts";

const FAILURES = 10;

/** A listener whose accepts fail so often, then give a connection, then wait for ever. */
function failing(error: Error): Deno.TcpListener {
  let calls = 0;
  return {
    accept() {
      calls++;
      if (calls <= FAILURES) return Promise.reject(error);
      return calls === FAILURES + 1 ? Promise.resolve({} as Deno.TcpConn) : new Promise(() => {});
    },
  } as unknown as Deno.TcpListener;
}

/** Whether the connection comes before any timer can fire. */
async function comesAtOnce(error: Error): Promise<boolean> {
  const state = { closed: false };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timerFirst = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), 0);
  });
  const accepted = new Promise<boolean>((resolve) => {
    void acceptAll(failing(error), state, () => resolve(true));
  });
  const atOnce = await Promise.race([accepted, timerFirst]);
  clearTimeout(timer);
  if (!atOnce) await accepted;
  state.closed = true;
  return atOnce;
}

Deno.test("acceptAll goes on at once behind connections that were reset", async () => {
  const reset = new Deno.errors.NotConnected("Transport endpoint is not connected (os error 107)");
  assertEquals(await comesAtOnce(reset), true);
  assertEquals(await comesAtOnce(new Deno.errors.ConnectionAborted("aborted")), true);
});

Deno.test("acceptAll pauses if there are no descriptors, and goes on", async () => {
  assertEquals(await comesAtOnce(new Error("Too many open files (os error 24)")), false);
});
