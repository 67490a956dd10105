/**
 * Seeded bugs of machines with several workers: see `mutations.ts`. The simulation has no processes, so tests find
 * all of them.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

const SUPERVISOR = "node/workers/supervisor.ts";
const SUPERVISOR_TEST = "tests/unit/node/workers/supervisor_test.ts";
const PLACEMENT_TEST = "tests/unit/coordinator/placement/placement_test.ts";

/** All of them. */
export const WORKER_MUTATIONS: readonly Mutation[] = [
  {
    name: "a machine holds a partition twice while another one has room",
    file: "coordinator/placement/placement.ts",
    edits: [["this.#machineOf = machinesWithinZones(nodes);", "this.#machineOf = undefined;"]],
    seedsMax: 1,
    test: PLACEMENT_TEST,
  },
  {
    name: "a worker that has left the cluster is started again",
    file: SUPERVISOR,
    edits: [[
      "    if (worker.hasLeft) {\n",
      '    if (worker.hasLeft && this.#mode === "leaving") {\n',
    ]],
    seedsMax: 1,
    test: SUPERVISOR_TEST,
  },
  {
    name: "a worker that dies while the machine leaves is not told again to leave",
    file: SUPERVISOR,
    edits: [[
      'if (this.#mode === "leaving") this.#port.tell(worker.number, { order: "leave" });',
      "",
    ]],
    seedsMax: 1,
    test: SUPERVISOR_TEST,
  },
  {
    name: "a machine ends with the first of its workers",
    file: SUPERVISOR,
    edits: [[
      'this.#workers.some(({ phase }) => phase !== "gone")',
      'this.#workers.every(({ phase }) => phase !== "gone")',
    ]],
    seedsMax: 1,
    test: SUPERVISOR_TEST,
  },
  {
    name: "a worker that dies again and again is started without a pause",
    file: SUPERVISOR,
    edits: [["Math.max(0, worker.failures - 1),", "0,"]],
    seedsMax: 1,
    test: SUPERVISOR_TEST,
  },
  {
    name: "a machine of which one worker is down counts as well",
    file: "node/workers/machine_health.ts",
    edits: [[
      'all.every(({ status }) => status === "ok")',
      'all.some(({ status }) => status === "ok")',
    ]],
    seedsMax: 1,
    test: "tests/unit/node/workers/machine_health_test.ts",
  },
  {
    name: "whoever asks for a machine's figures gets those that others had asked for before",
    file: "node/workers/machine_questions.ts",
    edits: [["waiting.next.push(done);", "(waiting.asked ?? waiting.next).push(done);"]],
    seedsMax: 1,
    test: "tests/unit/node/workers/machine_questions_test.ts",
  },
  {
    name: "a worker that is paused is asked for its figures all the same",
    file: SUPERVISOR,
    edits: [['worker.phase === "ready" && !worker.silent ? {', 'worker.phase === "ready" ? {']],
    seedsMax: 1,
    test: SUPERVISOR_TEST,
  },
];
