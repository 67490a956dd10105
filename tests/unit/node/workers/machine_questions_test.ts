import { assert, assertEquals } from "@std/assert";
import {
  type AskedMachine,
  MachineQuestions,
  type WorkerAnswer,
} from "../../../../node/workers/machine_questions.ts";
import {
  machineExposition,
  machineMetrics,
  machineStats,
} from "../../../../node/workers/machine_stats.ts";
import type { WorkerHealth } from "../../../../node/workers/worker_lines.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { WORKER_ASK_TIMEOUT_MS } from "../../../../shared/limits/cluster.ts";
import { countOf, Histogram } from "../../../../shared/metrics/histogram.ts";
import { REQUEST_SECONDS_BUCKETS } from "../../../../shared/limits/requests.ts";
import { metricDocument } from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import type { ReplyTo } from "../../../../shared/wire/messages.ts";

/** A machine of which worker 1 asks; what it asks is answered by the test. */
class World implements AskedMachine {
  readonly own = 1;
  readonly asked: { node: string; message: object; timeoutMs: number; done: ReplyTo }[] = [];
  readonly questions = new MachineQuestions(this);
  readonly #others: readonly WorkerHealth[];

  constructor(...others: Partial<WorkerHealth>[]) {
    this.#others = others.map((given, i) => ({
      worker: i + 2,
      status: "ok",
      reasons: [],
      ...given,
    }));
  }

  workers(): readonly WorkerHealth[] {
    return [{ worker: 1, status: "ok", reasons: [], node: "n1" }, ...this.#others];
  }

  ask(node: string, message: object, timeoutMs: number, done: ReplyTo): void {
    this.asked.push({ node, message, timeoutMs, done });
  }

  answer(): unknown {
    return { requests: 1 };
  }
}

/** In short: what each worker has answered. */
function shown(answers: readonly WorkerAnswer[] | undefined): unknown[] | undefined {
  return answers?.map(({ worker, answer, error }) => [worker, error?.code ?? answer]);
}

Deno.test("MachineQuestions: tells what each worker says, in the order of their numbers", () => {
  const world = new World({ node: "n2" }, { node: "n3" });
  let told: readonly WorkerAnswer[] | undefined;
  world.questions.ask("stats", (answers) => told = answers);
  assertEquals(
    world.asked.map(({ node, message, timeoutMs }) => [node, message, timeoutMs]),
    ["n2", "n3"].map((node) => [node, { req_type: "stats" }, WORKER_ASK_TIMEOUT_MS]),
  );
  world.asked[1]?.done({ req_type: "result", result: { requests: 3 } });
  assertEquals(told, undefined, "one has not answered");
  world.asked[0]?.done({ req_type: "error", code: "timeout", message: "no answer" });
  assertEquals(shown(told), [[1, { requests: 1 }], [2, "timeout"], [3, { requests: 3 }]]);
});

Deno.test("MachineQuestions: a worker that does not run is not asked, and it is said why", () => {
  const world = new World({ status: "unavailable", reasons: ["its process was ended by SIGKILL"] });
  let told: readonly WorkerAnswer[] | undefined;
  world.questions.ask("metrics", (answers) => told = answers);
  assertEquals(world.asked.length, 0);
  assertEquals(shown(told), [[1, { requests: 1 }], [2, "unavailable"]]);
  assertEquals(
    told?.[1]?.error?.message,
    "metrics: worker 2: its process was ended by SIGKILL",
  );
});

Deno.test("MachineQuestions: however many ask, each worker is asked once at a time, after they have asked", () => {
  const world = new World({ node: "n2" });
  const told: string[] = [];
  const ask = (name: string) => world.questions.ask("stats", () => told.push(name));
  const answer = (at: number) => world.asked[at]?.done({ req_type: "result", result: {} });
  ask("first");
  for (const name of ["second", "third"]) ask(name);
  assertEquals(world.asked.length, 1);
  answer(0);
  assertEquals([told.splice(0), world.asked.length], [["first"], 2]);
  ask("fourth");
  assertEquals(world.asked.length, 2);
  answer(1);
  assertEquals([told.splice(0), world.asked.length], [["second", "third"], 3]);
  answer(2);
  assertEquals([told, world.asked.length], [["fourth"], 3]);
});

function answered(worker: number, answer: unknown): WorkerAnswer {
  return { worker, status: "ok", reasons: [], node: `n${worker}`, answer };
}

const SILENT: WorkerAnswer = {
  worker: 2,
  status: "unavailable",
  reasons: ["it is starting"],
  answer: undefined,
  error: new KvError("unavailable", "stats: worker 2: it is starting"),
};

Deno.test("machineStats: sums over workers, and what each of them says", () => {
  const one = { node: "n1", epoch: 7, requests: 2, lease: true, peers: [], worker: 1, workers: 3 };
  const three = { node: "n3", epoch: 7, requests: 5, own: 4, worker: 3, workers: 3 };
  const hostile = { constructor: 1, toString: 2 };
  assertEquals(
    machineStats([answered(1, one), SILENT, answered(3, three), answered(4, hostile)], 3),
    {
      workers: 4,
      answered: 3,
      answered_by: 3,
      requests: 7,
      own: 4,
      constructor: 1,
      toString: 2,
      of_each: [
        { worker: 1, node: "n1", status: "ok", reasons: [], stats: one },
        {
          worker: 2,
          node: undefined,
          status: "unavailable",
          reasons: ["it is starting"],
          error: { code: "unavailable", message: "stats: worker 2: it is starting" },
        },
        { worker: 3, node: "n3", status: "ok", reasons: [], stats: three },
        { worker: 4, node: "n4", status: "ok", reasons: [], stats: hostile },
      ],
    } as Record<string, unknown>,
  );
});

function document(gets: number, seconds: number): unknown {
  const set = new MetricSet();
  set.set("kv_requests_total", gets, "resp", "get", "ok");
  set.set("kv_node_lease", true);
  const histogram = new Histogram(REQUEST_SECONDS_BUCKETS);
  histogram.observe(seconds);
  set.histogram("kv_request_seconds", histogram.state(), "resp", "get");
  return JSON.parse(JSON.stringify(metricDocument(set)));
}

Deno.test("machineExposition: each series has its worker, each metric is described once, and who is missing is said", () => {
  const text = machineExposition([
    answered(1, document(3, 0.1)),
    SILENT,
    answered(3, document(4, 2)),
  ]);
  const lines = text.split("\n");
  assertEquals(lines.filter((line) => !line.startsWith("#") && !line.includes("_seconds")), [
    'kv_worker_up{worker="1"} 1',
    'kv_worker_up{worker="2"} 0',
    'kv_worker_up{worker="3"} 1',
    'kv_requests_total{worker="1",front_end="resp",operation="get",code="ok"} 3',
    'kv_requests_total{worker="3",front_end="resp",operation="get",code="ok"} 4',
    'kv_node_lease{worker="1"} 1',
    'kv_node_lease{worker="3"} 1',
    "",
  ]);
  assertEquals(lines.filter((line) => line.startsWith("# TYPE kv_requests_total")).length, 1);
});

Deno.test("machineMetrics: the sum of what the workers count, histograms too", () => {
  const sums = machineMetrics([answered(1, document(3, 0.1)), SILENT, answered(3, document(4, 2))]);
  assertEquals(sums.samples("kv_requests_total"), [{ labels: ["resp", "get", "ok"], value: 7 }]);
  const [times] = sums.samples("kv_request_seconds");
  assert(times !== undefined && typeof times.value !== "number");
  assertEquals([countOf(times.value), times.value.sum], [2, 2.1]);
  const other = {
    kv_request_seconds: { labels: [], bounds: [1], samples: [[["resp", "get"], 1, [1, 0]]] },
  };
  const [own] = machineMetrics([answered(1, document(3, 0.1)), answered(2, other)])
    .samples("kv_request_seconds");
  assert(own !== undefined && typeof own.value !== "number");
  assertEquals(own.value.sum, 0.1, "what has other bounds, of another version, is left out");
});
