import { assertEquals } from "@std/assert";
import { RPC_PING_MS } from "../../../../shared/limits/connections.ts";
import { SilenceWatch } from "../../../../shared/wire/silence_watch.ts";

Deno.test("SilenceWatch: asks for a ping once in its interval, with the silence so far, until something comes", () => {
  const watch = new SilenceWatch();
  watch.hear();
  assertEquals(watch.check(0, true), undefined);
  assertEquals(watch.check(RPC_PING_MS - 1, true), undefined);
  assertEquals(watch.check(RPC_PING_MS, true), RPC_PING_MS);
  watch.pinged(RPC_PING_MS);
  assertEquals(watch.check(RPC_PING_MS + 1, true), undefined);
  assertEquals(watch.isDoubtful(2 * RPC_PING_MS - 1), false);
  assertEquals(watch.isDoubtful(2 * RPC_PING_MS), true);
  assertEquals(watch.check(2 * RPC_PING_MS, true), 2 * RPC_PING_MS);
  watch.hear();
  assertEquals(watch.isDoubtful(2 * RPC_PING_MS), false);
  assertEquals(watch.check(2 * RPC_PING_MS, true), undefined);
});

Deno.test("SilenceWatch: time in which nothing is owed does not count", () => {
  const watch = new SilenceWatch();
  assertEquals(watch.check(10 * RPC_PING_MS, false), undefined);
  assertEquals(watch.check(10 * RPC_PING_MS + 1, true), undefined);
});
