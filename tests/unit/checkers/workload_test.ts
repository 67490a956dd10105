import { assert, assertEquals } from "@std/assert";
import { KvClient } from "../../../client/library/kv_client.ts";
import type { ErrorCode } from "../../../shared/base/errors.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import { History } from "../../simulation/checkers/history.ts";
import { historyLines } from "../../simulation/checkers/history_export.ts";
import { judgeHistory } from "../../simulation/checkers/judge.ts";
import { Workload, type WorkloadOptions } from "../../simulation/workload/workload.ts";
import { nameOf, valueBytes, valueName } from "../../simulation/workload/workload_values.ts";
import { FakeCluster } from "../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../support/doubles/manual_clock.ts";

async function run(
  seed: number,
  fault: (request: KeyRequest, cluster: FakeCluster) => Reply | undefined,
  options: WorkloadOptions = {},
): Promise<
  { workload: Workload; history: History; final: Awaited<ReturnType<Workload["readAll"]>> }
> {
  const clock = new ManualClock();
  const cluster = new FakeCluster();
  cluster.fault = (request) => fault(request as KeyRequest, cluster);
  const history = new History();
  const clients = [false, true].map((gateway, i) => ({
    name: `client ${i}`,
    kv: new KvClient({ clock, router: cluster }),
    clock,
    concurrency: 4,
    gateway,
  }));
  const deps = { random: new SeededRandom(seed), history, nowMs: () => clock.monotonicMs() };
  const workload = new Workload(deps, clients, { abortPercent: 0, expiringPercent: 0, ...options });
  workload.start();
  await clock.run(5_000);
  const stopped = workload.stop();
  await clock.run(1_000);
  await stopped;
  assertEquals(workload.busy, 0);
  assertEquals(history.openCount, 0);
  cluster.fault = undefined;
  const [client] = clients;
  assert(client !== undefined);
  const final = await workload.readAll(client);
  return { workload, history, final };
}

const error = (code: ErrorCode): Reply => ({ req_type: "error", code, message: code });

Deno.test("Workload asks for everything it can, and its history is judged to be good", async () => {
  const { workload, history, final } = await run(1, () => undefined);
  const judgement = judgeHistory(history, { held: final });
  assertEquals(judgement.failures, []);
  assert(judgement.operations > 300, `${judgement.operations} operations`);
  const asked = new Set(history.calls().map((call) => call.f));
  assertEquals([...asked].sort(), [
    "cas",
    "create",
    "delete",
    "exists",
    "increment",
    "read",
    "update",
    "write",
  ]);
  assert(workload.counts.ok > workload.counts.fail && workload.counts.info === 0);
  assertEquals(workload.late, []);
  const loose = history.calls().filter((call) => call.acks === "primary");
  assert(loose.length > 0 && loose.every((call) => call.key.startsWith("loose")));
});

Deno.test("Workload does the same again with the same seed, and something else with another", async () => {
  const lines = async (seed: number) => historyLines((await run(seed, () => undefined)).history);
  assertEquals(await lines(1), await lines(1));
  assert(await lines(1) !== await lines(2));
});

Deno.test("Workload knows refusals from lost answers", async () => {
  const random = new SeededRandom(5);
  const codes: ErrorCode[] = ["unavailable", "timeout", "overloaded", "not_enough_replicas"];
  const { workload, history, final } = await run(2, (request, cluster) => {
    const dice = randomBelow(random, 100);
    if (dice < 20) return error(codes[dice % codes.length] ?? "timeout");
    if (dice < 25) return error("outcome_unknown");
    // It happens, and its answer is lost.
    if (dice < 30) cluster.apply(request);
    return dice < 30 ? error("outcome_unknown") : undefined;
  });
  assertEquals(judgeHistory(history, { held: final }).failures, []);
  assert(workload.counts.info > 5);
  const unknown = history.calls().filter((call) => call.outcome === "info");
  assert(unknown.every((call) => call.error === "outcome_unknown" && call.f !== "read"));
});

Deno.test("Workload's history shows a cluster that loses writes, and one that lies about refusals", async () => {
  const losing = await run(3, ({ req_type: type, key }, cluster) => {
    const lose = type === "put" && key.startsWith("hot") && cluster.requests.length % 40 === 0;
    return lose ? { req_type: "ack", message: "success", version: 1_000_000 } : undefined;
  });
  assert(judgeHistory(losing.history, { held: losing.final }).failures.length > 0);
  const lying = await run(3, (request, cluster) => {
    if (request.req_type !== "put" || cluster.requests.length % 40 !== 0) return undefined;
    cluster.apply(request);
    return error("unavailable");
  });
  assert(judgeHistory(lying.history, { held: lying.final }).failures.length > 0);
});

Deno.test("Workload: what a caller gave up is unknown", async () => {
  const { history } = await run(4, () => undefined, { abortPercent: 100, timeoutMsMin: 1 });
  for (const call of history.calls()) assert(call.outcome !== "info" || call.error === "given up");
});

Deno.test("nameOf gives the name of a whole value, and of nothing else", () => {
  for (let n = 0; n < 200; n++) {
    const name = valueName(n);
    const bytes = valueBytes(name);
    assertEquals(nameOf(bytes), name);
    const flipped = bytes.slice();
    const at = n % bytes.length;
    flipped[at] = (flipped[at] ?? 0) ^ 0x80;
    assert(nameOf(flipped).startsWith("garbled"), nameOf(flipped));
    // The short values have no filling that would show a cut.
    if (bytes.length > 5) assert(nameOf(bytes.subarray(0, bytes.length - 1)).startsWith("garbled"));
  }
});
