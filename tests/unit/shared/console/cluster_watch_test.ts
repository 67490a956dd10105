import { assertEquals } from "@std/assert";
import { ClusterWatch } from "../../../../shared/console/cluster_watch.ts";
import type { ConsoleSnapshot } from "../../../../shared/console/snapshot.ts";
import { CONSOLE_GAP_MS_MAX, CONSOLE_PERIOD_MS } from "../../../../shared/limits/http.ts";
import { metricDocument } from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import type { ReplyTo } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { fakeMap } from "../../../support/worlds/fake_cluster.ts";

function documentOf(requests: number) {
  const set = new MetricSet();
  set.set("process_start_time_seconds", 1);
  set.set("kv_requests_total", requests, "wire", "get", "ok");
  return metricDocument(set);
}

const SILENCE = Symbol("no answer");

class Scene {
  readonly clock = new ManualClock();
  readonly asked: [node: string, done: ReplyTo][] = [];
  requests = 0;
  readonly watch = new ClusterWatch(this.clock, {
    secured: false,
    self: undefined,
    map: () => MAP,
    health: () => ({ role: "coordinator", status: "ok", reasons: [], checks: {} }),
    own: () => documentOf(this.requests),
    coordinator: () => "c1",
    ask: (node, _message, _timeoutMs, done) => void this.asked.push([node, done]),
    askCoordinator: ({ host }, _message, _timeoutMs, done) => void this.asked.push([host, done]),
  });

  /** Answers what is asked; SILENCE: not in time. */
  answer(result: unknown): void {
    for (const [, done] of this.asked.splice(0)) {
      done(
        result === SILENCE
          ? { req_type: "error", code: "timeout", message: "no answer" }
          : { req_type: "result", result },
      );
    }
  }

  async look(result: unknown = documentOf(this.requests)): Promise<ConsoleSnapshot> {
    const snapshot = this.watch.snapshot();
    this.answer(result);
    return JSON.parse(await snapshot);
  }
}

const TWO = fakeMap();
const [FIRST] = TWO.nodes;
/** Of three nodes, the last of which is down. */
const MAP = {
  ...TWO,
  nodes: [
    ...TWO.nodes,
    ...(FIRST === undefined ? [] : [{ ...FIRST, id: "n3", state: "down" as const }]),
  ],
};

Deno.test("ClusterWatch: a hundred who look at once make one round, and for a period none follows", async () => {
  const scene = new Scene();
  const all = Array.from({ length: 100 }, () => scene.watch.snapshot());
  assertEquals(
    scene.asked.map(([node]) => node),
    TWO.nodes.map(({ id }) => id),
    "who is down is not asked",
  );
  scene.answer(documentOf(0));
  const texts = new Set(await Promise.all(all));
  assertEquals(texts.size, 1);
  scene.clock.advance(CONSOLE_PERIOD_MS - 1);
  assertEquals(texts.has(await scene.watch.snapshot()), true);
  assertEquals(scene.asked, []);
  scene.clock.advance(1);
  const next = scene.watch.snapshot();
  assertEquals(scene.asked.length, 2);
  scene.answer(documentOf(0));
  await next;
});

Deno.test("ClusterWatch: nobody looks, so nothing is done", () => {
  const scene = new Scene();
  scene.clock.advance(10 * CONSOLE_PERIOD_MS);
  assertEquals([scene.asked.length, scene.clock.timers], [0, 0]);
});

Deno.test("ClusterWatch: rates are those since the last look, unless that was long ago", async () => {
  const scene = new Scene();
  const own = ({ coordinators }: ConsoleSnapshot) => coordinators?.list[0]?.figures;
  assertEquals(own(await scene.look())?.requestsPerSecond, undefined);
  scene.requests = 100;
  scene.clock.advance(CONSOLE_PERIOD_MS);
  const snapshot = await scene.look();
  const { nodes } = snapshot;
  assertEquals(own(snapshot)?.requestsPerSecond, 100_000 / CONSOLE_PERIOD_MS);
  assertEquals(nodes.map(({ figures }) => figures?.requestsPerSecond), [
    100_000 / CONSOLE_PERIOD_MS,
    100_000 / CONSOLE_PERIOD_MS,
    undefined,
  ]);
  scene.clock.advance(CONSOLE_GAP_MS_MAX + 1);
  assertEquals(own(await scene.look())?.requestsPerSecond, undefined);
});

Deno.test("ClusterWatch: a node that does not answer, or nonsense, is shown without figures", async () => {
  const scene = new Scene();
  const silent = await scene.look(SILENCE);
  assertEquals(silent.nodes.map(({ figures }) => figures), [undefined, undefined, undefined]);
  assertEquals(
    silent.alerts.map(({ name }) => name).filter((name) => name === "KvProcessDown").length,
    3,
  );
  for (
    const nonsense of [null, 7, "text", [], { kv_requests_total: 7 }, {
      kv_info: { samples: [[["x"], "y"]] },
    }]
  ) {
    scene.clock.advance(CONSOLE_PERIOD_MS);
    assertEquals((await scene.look(nonsense)).nodes.length, 3);
  }
});

Deno.test("ClusterWatch: the other coordinators are asked as the nodes are, and one that does not answer is shown", async () => {
  const asked: [string, ReplyTo][] = [];
  const coordinators = ["c1", "c2", "c3"].map((id) => ({ id, host: id, port: 1 }));
  const watch = new ClusterWatch(new ManualClock(), {
    secured: false,
    self: undefined,
    map: () => ({ ...MAP, coordinators, nodes: [] }),
    health: () => ({ role: "coordinator", status: "ok", reasons: [], checks: {} }),
    own: () => documentOf(0),
    coordinator: () => "c2",
    ask: () => {},
    askCoordinator: ({ host }, _message, _timeoutMs, done) => void asked.push([host, done]),
  });
  const text = watch.snapshot();
  assertEquals(asked.map(([host]) => host), ["c1", "c3"]);
  asked[0]?.[1]({ req_type: "result", result: documentOf(1) });
  asked[1]?.[1]({ req_type: "error", code: "unavailable", message: "gone" });
  const { coordinators: view } = JSON.parse(await text) as ConsoleSnapshot;
  assertEquals(view?.list.map(({ id, figures }) => [id, figures !== undefined]), [
    ["c1", true],
    ["c2", true],
    ["c3", false],
  ]);
});
