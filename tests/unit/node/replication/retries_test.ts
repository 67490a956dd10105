import { assertEquals } from "@std/assert";
import { Retries, retryDelayMs } from "../../../../node/replication/retries.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  FOLLOWER_RETRY_MS_MAX,
  FOLLOWER_RETRY_MS_MIN,
} from "../../../../shared/limits/replication.ts";
import type {} from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

const WHY = new KvError("storage_failed", "the disk says no");

function makeRetries() {
  let nowMs = 0;
  const logged: unknown[] = [];
  const log = {
    ...NO_LOG,
    warn: (_message: string, fields?: Record<string, unknown>) => logged.push(fields?.attempts),
    info: (message: string) => logged.push(message),
  };
  const retries = new Retries(log, () => nowMs);
  return { retries, logged, pass: (ms: number) => nowMs += ms };
}

Deno.test("retryDelayMs: doubles up to a maximum", () => {
  assertEquals(retryDelayMs(1), FOLLOWER_RETRY_MS_MIN);
  assertEquals(retryDelayMs(3), 4 * FOLLOWER_RETRY_MS_MIN);
  assertEquals(retryDelayMs(1_000_000), FOLLOWER_RETRY_MS_MAX);
});

Deno.test("Retries: the third failure in a row is logged, and then each doubling", () => {
  const { retries, logged, pass } = makeRetries();
  for (let i = 0; i < 25; i++) {
    retries.failed("read", 1, WHY);
    pass(1_000);
  }
  assertEquals(logged.splice(0), [3, 6, 12, 24]);
  retries.ended("read", 1);
  assertEquals(logged, ["no longer fails"]);
});

Deno.test("Retries: shows what has failed three times, until it succeeds or nobody wants it", () => {
  const { retries } = makeRetries();
  for (let i = 0; i < 3; i++) {
    for (const what of ["read", "write"]) retries.failed(what, 1, WHY);
  }
  retries.failed("read", 2, WHY);
  assertEquals(retries.shown().map(({ what, partition }) => [what, partition]), [
    ["read", 1],
    ["write", 1],
  ]);
  retries.ended("read", 1);
  assertEquals(retries.shown().length, 1);
  retries.forget(1);
  assertEquals(retries.shown(), []);
});

Deno.test("Retries.isDue: after the delay of this many failures", () => {
  const { retries, pass } = makeRetries();
  assertEquals(retries.isDue("read", 1), true);
  retries.failed("read", 1, WHY);
  assertEquals(retries.isDue("read", 1), false);
  pass(FOLLOWER_RETRY_MS_MIN);
  assertEquals(retries.isDue("read", 1), true);
});
