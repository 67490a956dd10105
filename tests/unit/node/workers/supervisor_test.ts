import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import {
  WORKER_FAILURES_MAX,
  WORKER_RESTART_MS_MAX,
  WORKER_SILENT_MS,
  WORKER_STEADY_MS,
} from "../../../../shared/limits/cluster.ts";
import { Supervisor, type WorkerEnd } from "../../../../node/workers/supervisor.ts";
import type { WorkerOrder, WorkerReport } from "../../../../node/workers/worker_lines.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

const KILLED: WorkerEnd = { code: 137, signal: "SIGKILL", said: "" };
const CLEAN: WorkerEnd = { code: 0, signal: null, said: "" };
const FAILED: WorkerEnd = { code: 1, signal: null, said: "kv-node: no" };
const BAD_CONFIG: WorkerEnd = { code: 2, signal: null, said: "kv-node: --zone" };
const OK: WorkerReport = { report: "health", status: "ok", reasons: [] };
const READY: WorkerReport = { report: "ready", port: 8082, http: 9082, node: "n" };

/** A machine whose processes are a set of numbers. */
class World {
  readonly running = new Set<number>();
  /** What was done to the world, in order; what workers are told of each other is in `views`. */
  readonly done: string[] = [];
  readonly views = new Map<number, WorkerOrder>();
  exitCode: number | undefined;
  nowMs = 0;
  readonly supervisor: Supervisor;

  constructor(workers = 2) {
    const numbers = Array.from({ length: workers }, (_, i) => i + 1);
    this.supervisor = new Supervisor(numbers, {
      random: new SeededRandom(1),
      log: NO_LOG,
      port: {
        start: (worker) => {
          assert(!this.running.has(worker), "one process of each worker");
          this.running.add(worker);
          this.done.push(`start ${worker}`);
        },
        tell: (worker, order) => {
          assert(this.running.has(worker), "only a process is told");
          if (order.order === "workers") this.views.set(worker, order);
          else this.done.push(`${order.order} ${worker}`);
        },
        kill: (worker) => this.done.push(`kill ${worker}`),
        ready: () => this.done.push("ready"),
        left: (worker) => this.done.push(`left ${worker}`),
        over: (exitCode) => {
          assertEquals(this.running.size, 0, "over with processes");
          assertEquals(this.exitCode, undefined, "over once");
          this.exitCode = exitCode;
        },
      },
    });
    this.supervisor.start(this.nowMs);
  }

  /** All are ready and well; what was done so far is forgotten. */
  static serving(workers = 2): World {
    const world = new World(workers);
    for (let worker = 1; worker <= workers; worker++) world.report(worker, READY, OK);
    world.done.length = 0;
    return world;
  }

  report(worker: number, ...reports: WorkerReport[]): void {
    for (const report of reports) this.supervisor.onReport(worker, report, this.nowMs);
  }

  end(worker: number, end: WorkerEnd): void {
    assert(this.running.delete(worker), "only what runs ends");
    this.supervisor.onEnded(worker, end, this.nowMs);
  }

  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs = Math.min(endMs, this.nowMs + 200);
      this.supervisor.onTick(this.nowMs);
    }
  }

  /** As a worker is told of all: `1 ok, 2 unavailable`. */
  seenBy(worker: number): string {
    const view = this.views.get(worker);
    assert(view?.order === "workers");
    return view.workers.map(({ worker, status }) => `${worker} ${status}`).join(", ");
  }

  take(): string[] {
    return this.done.splice(0);
  }
}

Deno.test("Supervisor: starts all workers, and is ready when each of them is", () => {
  const world = new World(3);
  assertEquals(world.take(), ["start 1", "start 2", "start 3"]);
  world.report(1, READY);
  world.report(3, READY);
  assertEquals(world.take(), []);
  world.report(2, READY);
  assertEquals(world.take(), ["ready"]);
});

Deno.test("Supervisor: a worker that dies is started again, and the others know of it meanwhile", () => {
  const world = World.serving();
  assertEquals(world.seenBy(1), "1 ok, 2 ok");
  world.end(2, KILLED);
  assertEquals(world.seenBy(1), "1 ok, 2 unavailable");
  assertEquals(world.take(), []);
  world.pass(1_000);
  assertEquals(world.take(), ["start 2"]);
  world.report(2, READY, OK);
  assertEquals(world.seenBy(1), "1 ok, 2 ok");
  assertEquals(world.seenBy(2), "1 ok, 2 ok");
  assertEquals(world.take(), []);
});

Deno.test("Supervisor: pauses between starts grow up to a bound, and begin anew after a steady time", () => {
  const world = World.serving();
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    world.end(2, KILLED);
    const beganMs = world.nowMs;
    while (!world.running.has(2)) world.pass(200);
    pauses.push(world.nowMs - beganMs);
    world.report(2, READY);
  }
  assert(pauses.every((ms, i) => i === 0 || ms >= (pauses[i - 1] ?? 0) / 2), pauses.join());
  assert((pauses.at(-1) ?? 0) > WORKER_RESTART_MS_MAX / 2 - 1, pauses.join());
  assert((pauses.at(-1) ?? 0) <= WORKER_RESTART_MS_MAX + 200, pauses.join());
  world.report(1, OK);
  world.pass(WORKER_STEADY_MS);
  world.take();
  world.end(2, KILLED);
  world.pass(600);
  assertEquals(world.take(), ["start 2"]);
});

Deno.test("Supervisor: while one worker serves it does not give up; when none has for long, it ends with their code", () => {
  const world = World.serving();
  const dieOnce = (worker: number) => {
    while (!world.running.has(worker)) world.pass(200);
    world.end(worker, FAILED);
  };
  for (let i = 0; i < WORKER_FAILURES_MAX; i++) dieOnce(2);
  assertEquals(world.exitCode, undefined);
  for (let i = 0; i < WORKER_FAILURES_MAX - 1; i++) {
    dieOnce(1);
    if (world.running.has(2)) world.end(2, FAILED);
  }
  while (!world.running.has(1)) world.pass(200);
  if (world.running.has(2)) world.end(2, FAILED);
  assertEquals(world.exitCode, undefined);
  world.end(1, FAILED);
  assertEquals(world.exitCode, 1);
});

Deno.test("Supervisor: a wrong setting ends the machine before it has served, and not afterwards", () => {
  const world = new World();
  world.report(1, READY);
  world.take();
  world.end(2, BAD_CONFIG);
  assertEquals(world.take(), ["stop 1"]);
  world.end(1, CLEAN);
  assertEquals(world.exitCode, 2);

  const later = World.serving();
  later.end(2, BAD_CONFIG);
  later.pass(1_000);
  assertEquals(later.take(), ["start 2"]);
});

Deno.test("Supervisor: one worker that was told to stop by itself is started again soon, however often", () => {
  const world = World.serving();
  for (let i = 0; i < 2 * WORKER_FAILURES_MAX; i++) {
    world.end(2, CLEAN);
    world.pass(400);
    assertEquals(world.take(), ["start 2"]);
    world.report(2, READY);
  }
});

Deno.test("Supervisor: stopping tells all, starts nobody, and is over when the last has ended", () => {
  const world = World.serving(3);
  world.end(3, KILLED);
  world.supervisor.stop();
  world.supervisor.stop();
  assertEquals(world.take(), ["stop 1", "stop 2"]);
  world.end(1, CLEAN);
  world.pass(10_000);
  assertEquals([world.exitCode, world.take()], [undefined, []]);
  world.end(2, CLEAN);
  assertEquals(world.exitCode, 0);
  world.pass(10_000);
  assertEquals(world.take(), []);
});

Deno.test("Supervisor: a worker that does not stop cleanly is a failure of the machine", () => {
  const world = World.serving();
  world.supervisor.stop();
  world.end(1, KILLED);
  world.end(2, CLEAN);
  assertEquals(world.exitCode, 1);
});

Deno.test("Supervisor: told a second time, it kills who still runs", () => {
  const world = World.serving();
  world.supervisor.stop();
  world.end(1, CLEAN);
  world.take();
  world.supervisor.kill(143);
  assertEquals(world.take(), ["kill 2"]);
  world.end(2, KILLED);
  assertEquals(world.exitCode, 143);
});

Deno.test("Supervisor: told to stop while a worker still starts, it waits for that one too", () => {
  const world = new World();
  world.report(1, READY);
  world.take();
  world.supervisor.stop();
  assertEquals(world.take(), ["stop 1", "stop 2"]);
  world.report(2, READY);
  world.end(1, CLEAN);
  assertEquals([world.exitCode, world.take()], [undefined, []]);
  world.end(2, CLEAN);
  assertEquals(world.exitCode, 0);
});

Deno.test("Supervisor: leaving is over when all have left; one that dies meanwhile is started again, and told again", () => {
  const world = World.serving();
  world.supervisor.leave();
  assertEquals(world.take(), ["leave 1", "leave 2"]);
  world.report(1, { report: "left" });
  world.end(1, CLEAN);
  world.end(2, KILLED);
  assertEquals(world.take(), ["left 1"]);
  world.pass(1_000);
  assertEquals(world.take(), ["start 2"]);
  world.report(2, READY);
  assertEquals(world.take(), ["leave 2"]);
  world.report(2, { report: "left" });
  world.end(2, CLEAN);
  assertEquals([world.take(), world.exitCode], [["left 2"], 0]);
});

Deno.test("Supervisor: leaving can be given up by stopping", () => {
  const world = World.serving();
  world.supervisor.leave();
  world.supervisor.stop();
  assertEquals(world.take(), ["leave 1", "leave 2", "stop 1", "stop 2"]);
  world.end(1, CLEAN);
  world.end(2, CLEAN);
  assertEquals([world.take(), world.exitCode], [[], 0]);
});

Deno.test("Supervisor: one worker that has left alone is not started again, and not missed", () => {
  const world = World.serving(3);
  world.report(2, { report: "left" });
  world.end(2, CLEAN);
  world.pass(60_000);
  assertEquals(world.take(), ["left 2"]);
  assertEquals(world.seenBy(1).replaceAll(/unavailable/g, "silent"), "1 silent, 3 silent");
});

Deno.test("Supervisor: a worker that says nothing for long counts as unavailable until it speaks again", () => {
  const world = World.serving();
  world.pass(WORKER_SILENT_MS - 200);
  world.report(1, OK);
  world.pass(200);
  assertEquals(world.seenBy(1), "1 ok, 2 unavailable");
  world.report(2, OK);
  assertEquals(world.seenBy(1), "1 ok, 2 ok");
});

Deno.test("Supervisor: a worker is told as which node the others can be asked, as long as they run and say something", () => {
  const world = World.serving();
  const nodes = () => world.supervisor.health.map(({ node }) => node);
  assertEquals(nodes(), ["n", "n"]);
  world.pass(WORKER_SILENT_MS - 200);
  world.report(1, OK);
  world.pass(200);
  assertEquals(nodes(), ["n", undefined], "it is paused");
  world.report(2, OK);
  assertEquals(nodes(), ["n", "n"]);
  world.end(2, KILLED);
  assertEquals(nodes(), ["n", undefined], "it does not run");
  world.pass(WORKER_RESTART_MS_MAX);
  world.report(1, OK);
  assertEquals(nodes(), ["n", undefined], "it does not listen yet");
  world.report(2, { ...READY, node: "another" });
  assertEquals(nodes(), ["n", "another"]);
});
