/**
 * The body of a JSON request over HTTP counted until it was parsed, not until it was answered: 336 MB were
 * under way of a budget of 256 MiB. Found by a review.
 */
import { MetricSet } from "../../shared/metrics/metric_set.ts";
import { assert } from "@std/assert";
import { HttpFrontEnd } from "../../shared/http/front_end.ts";
import { REQUEST_BYTES_MAX } from "../../shared/limits/admission.ts";
import type {} from "../../shared/platform/logger.ts";
import { NO_LOG } from "../support/doubles/no_log.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { LOCAL } from "../support/clients/http_bench.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryDatabase } from "../support/doubles/memory_database.ts";

Deno.test("HTTP: the bodies of requests that are under way count, JSON too", async () => {
  let requests = 0;
  let bytes = 0;
  class Slow extends MemoryDatabase {
    override execute(request: KeyRequest, _timeoutMs: number, _done: (reply: Reply) => void) {
      requests++;
      if (request.req_type === "put") bytes += request.bytes?.length ?? 0;
    }
  }
  const frontEnd = new HttpFrontEnd(
    { clock: new ManualClock(), random: new SeededRandom(1), log: NO_LOG },
    {
      database: new Slow(),
      limits: { keyBytesMax: 100, valueBytesMax: 8 << 20 },
      health: () => ({ role: "node", status: "ok", reasons: [], checks: {} }),
      metrics: () => new MetricSet(),
      snapshot: () => Promise.resolve("{}"),
    },
    LOCAL,
  );
  const refused: number[] = [];
  const value = "v".repeat(8 << 20);
  const body = new TextEncoder().encode(JSON.stringify({ key: "k", value }));
  for (let i = 0; i < 40; i++) {
    frontEnd.handle(new Request("http://127.0.0.1:9081/set", { method: "POST", body }))
      .then(({ status }) => refused.push(status));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(
    bytes <= REQUEST_BYTES_MAX,
    `${requests} bodies with ${bytes} bytes are under way; refused: ${refused.length}`,
  );
});
