import { assertEquals } from "@std/assert";
import { AnswerRate } from "../../../../coordinator/discovery/answer_rate.ts";
import {
  DISCOVERY_HOST_RATE,
  DISCOVERY_HOSTS_MAX,
  DISCOVERY_RATE,
} from "../../../../shared/limits/membership.ts";

function allowed(rate: AnswerRate, host: string, nowMs: number, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (rate.allow(host, nowMs)) count++;
  return count;
}

Deno.test("AnswerRate gives one host a second's worth at once, and then so much a second", () => {
  const rate = new AnswerRate();
  assertEquals(allowed(rate, "a", 0, 1_000), DISCOVERY_HOST_RATE);
  assertEquals(allowed(rate, "a", 500, 1_000), DISCOVERY_HOST_RATE / 2);
  assertEquals(allowed(rate, "b", 500, 1_000), DISCOVERY_HOST_RATE);
  assertEquals(allowed(rate, "a", 100_000, 1_000), DISCOVERY_HOST_RATE);
});

Deno.test("AnswerRate gives all hosts together no more than its rate", () => {
  const rate = new AnswerRate();
  let count = 0;
  for (let i = 0; i < 2 * DISCOVERY_HOSTS_MAX; i++) count += allowed(rate, `h${i}`, 0, 2);
  assertEquals(count, DISCOVERY_RATE);
  // A host that was forgotten begins again, within what all may have.
  assertEquals(allowed(rate, "h0", 1_000, 1_000), DISCOVERY_HOST_RATE);
});
