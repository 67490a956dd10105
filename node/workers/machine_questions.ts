/**
 * Asks all workers of this machine the same, for whoever asked at the port that they share. Each worker is a node, so
 * it is asked as nodes ask each other; the one that asks answers for itself.
 *
 * Invariants: whoever is told has asked before the workers were asked. However many ask at once, each worker is asked
 * at most twice at a time. A worker that says nothing is waited for no longer than `WORKER_ASK_TIMEOUT_MS`.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { WORKER_ASK_TIMEOUT_MS } from "../../shared/limits/cluster.ts";
import { fromErrorReply } from "../../shared/wire/error_reply.ts";
import type { ReplyTo } from "../../shared/wire/messages.ts";
import type { WorkerHealth } from "./worker_lines.ts";

/** What one worker says: a result, or why there is none. */
export interface WorkerAnswer extends WorkerHealth {
  readonly answer: unknown;
  readonly error?: KvError | undefined;
}

/** Takes what all workers say, by their numbers. */
export type AnswersDone = (answers: readonly WorkerAnswer[]) => void;

/** What is asked of each worker: a request without fields, answered by a `result`. */
export type MachineQuestion = "stats" | "metrics";

/** The machine, as one of its workers knows it. */
export interface AskedMachine {
  /** The number of the worker that asks. */
  readonly own: number;
  /** All workers, as the supervisor has told last, and this one as it is now. */
  workers(): readonly WorkerHealth[];
  /** Asks another worker as the node that it is. */
  ask(node: string, message: object, timeoutMs: number, done: ReplyTo): void;
  /** What this worker says itself. */
  answer(question: MachineQuestion): unknown;
}

/** Those who wait for one question. */
interface Waiting {
  /** The workers are being asked for these. */
  asked: AnswersDone[] | undefined;
  /** Came after that. */
  next: AnswersDone[];
}

/** Asks. One for a process. */
export class MachineQuestions {
  readonly #machine: AskedMachine;
  readonly #waiting: { readonly [Q in MachineQuestion]: Waiting } = {
    stats: { asked: undefined, next: [] },
    metrics: { asked: undefined, next: [] },
  };

  constructor(machine: AskedMachine) {
    this.#machine = machine;
  }

  /** Asks all workers. @param done is called once, now or later */
  ask(question: MachineQuestion, done: AnswersDone): void {
    const waiting = this.#waiting[question];
    waiting.next.push(done);
    if (waiting.asked === undefined) this.#askAll(question, waiting);
  }

  #askAll(question: MachineQuestion, waiting: Waiting): void {
    waiting.asked = waiting.next;
    waiting.next = [];
    const workers = this.#machine.workers();
    const answers: WorkerAnswer[] = [];
    const take = (answer: WorkerAnswer) => {
      answers.push(answer);
      if (answers.length < workers.length) return;
      answers.sort((a, b) => a.worker - b.worker);
      const asked = waiting.asked ?? [];
      waiting.asked = undefined;
      // Before anybody is told, who may ask for more.
      if (waiting.next.length > 0) this.#askAll(question, waiting);
      for (const done of asked) done(answers);
    };
    for (const worker of workers) this.#askOne(question, worker, take);
  }

  #askOne(
    question: MachineQuestion,
    worker: WorkerHealth,
    take: (answer: WorkerAnswer) => void,
  ): void {
    if (worker.worker === this.#machine.own) {
      take({ ...worker, answer: this.#machine.answer(question) });
    } else if (worker.node === undefined) {
      const why = worker.reasons.join("; ") || "it says nothing";
      const error = new KvError("unavailable", `${question}: worker ${worker.worker}: ${why}`);
      take({ ...worker, answer: undefined, error });
    } else {
      this.#machine.ask(worker.node, { req_type: question }, WORKER_ASK_TIMEOUT_MS, (reply) => {
        if (reply.req_type === "result") take({ ...worker, answer: reply.result });
        else take({ ...worker, answer: undefined, error: noResult(question, worker, reply) });
      });
    }
  }
}

function noResult(
  question: MachineQuestion,
  { worker }: WorkerHealth,
  reply: Parameters<ReplyTo>[0],
): KvError {
  return reply.req_type === "error"
    ? fromErrorReply(reply)
    : new KvError("internal", `${question}: worker ${worker} answered ${reply.req_type}`);
}
