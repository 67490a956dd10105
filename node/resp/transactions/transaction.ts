/**
 * MULTI, EXEC, DISCARD, WATCH and UNWATCH of one connection: its queued commands, and the keys that it watches.
 * Commands between MULTI and EXEC wait here. EXEC makes one request of them all, which the cluster
 * carries out atomically and isolated, or not at all (`transaction_runner.ts`).
 *
 * If one of them must look at its keys before it can say what it writes (RENAME, COPY), all of them are
 * prepared on a snapshot of the keys, and the result is written if no key has changed meanwhile.
 *
 * @module
 */
import { REQUEST_OVERHEAD_BYTES } from "../../../shared/limits/admission.ts";
import {
  RESP_COMMAND_BYTES_MAX,
  RESP_QUEUED_COMMANDS_MAX,
  RESP_WATCHED_KEYS_MAX,
} from "../../../shared/limits/resp.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import {
  type Arguments,
  type Call,
  CommandError,
  type CommandRun,
  type CommandServer,
  type CommandSession,
  type CommandSpec,
  type CommandTransaction,
  type ManyPlan,
  mayWrite,
  type RequestView,
  type Write,
} from "../command/command.ts";
import { errorText } from "../command/error_text.ts";
import type { KeySnapshot } from "./key_snapshot.ts";
import { isNotFound } from "../command/replies.ts";
import { type RunnerSession, TransactionRunner } from "./transaction_runner.ts";
import { keysOfStep, readyStep, runSteps, writeSteps } from "./transaction_steps.ts";
import type { RespWriter } from "../protocol/writer.ts";

const NOT_IN_MULTI = "ERR Command not allowed inside a transaction";

/** What a transaction needs of its connection. */
export interface TransactionSession extends RunnerSession, CommandSession {
  readonly server: CommandServer;
  /** What its commands get. */
  readonly call: Call;
  /** Runs a transaction of this many bytes, whose reply comes later; other commands go on meanwhile. */
  answerLater(
    bytes: number,
    begin: (finish: (write: Write, replies?: readonly Reply[]) => void) => void,
  ): void;
  /** Runs something after everything that is under way, and before anything else is read. */
  runAlone(begin: (done: () => void) => void): void;
  /** Runs a command that answers at once, in its turn. */
  runInTurn(run: CommandRun, args: Arguments): void;
}

/** The transaction of one connection. */
export class Transaction implements CommandTransaction {
  readonly #session: TransactionSession;
  readonly #runner: TransactionRunner;
  readonly #runNow = (run: CommandRun, args: Arguments) => this.#session.runInTurn(run, args);
  #queued: { spec: CommandSpec; args: Arguments }[] | undefined;
  #bytes = 0;
  #spoiled = false;
  #watched = new Map<string, number>();

  constructor(session: TransactionSession) {
    this.#session = session;
    this.#runner = new TransactionRunner(session);
  }

  /** Between MULTI and EXEC. */
  get open(): boolean {
    return this.#queued !== undefined;
  }

  /** The number of queued commands; -1 outside MULTI. */
  get length(): number {
    return this.#queued?.length ?? -1;
  }

  /** Whether EXEC may write. */
  get mayWrite(): boolean {
    return this.#queued?.some(({ spec }) => mayWrite(spec)) ?? false;
  }

  /** Bytes of the commands that are queued, or are being prepared alone. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A command was refused before it could be queued: EXEC will refuse all. */
  spoil(): void {
    if (this.open) this.#spoiled = true;
  }

  /** Forgets everything. */
  reset(): void {
    this.#close();
    this.#watched.clear();
  }

  multi(): void {
    const session = this.#session;
    if (this.open) {
      session.answerInTurn((out) => out.error("ERR MULTI calls can not be nested"));
      return;
    }
    this.#queued = [];
    session.answerInTurn((out) => out.ok());
  }

  discard(): void {
    const session = this.#session;
    if (!this.open) {
      session.answerInTurn((out) => out.error("ERR DISCARD without MULTI"));
      return;
    }
    this.reset();
    session.answerInTurn((out) => out.ok());
  }

  /** EXEC itself was refused: what has been queued will not run. */
  abort(why: string): void {
    this.reset();
    this.#session.answerInTurn((out) =>
      out.error(`EXECABORT Transaction discarded because of: ${why}`)
    );
  }

  /** Queues a command for EXEC. */
  queue(spec: CommandSpec, args: Arguments): void {
    const session = this.#session;
    const copies = args.map((argument) => argument.slice());
    let queued = spec;
    let refusal = this.#whyNotQueued(spec, args);
    try {
      if (refusal === undefined) queued = asQueued(spec, copies, session);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      refusal = error.message;
    }
    if (refusal !== undefined) {
      this.#spoiled = true;
      session.answerInTurn((out) => out.error(refusal));
      return;
    }
    // After a mistake none of them will run.
    if (!this.#spoiled) {
      this.#bytes += bytesOf(args);
      this.#queued?.push({ spec: queued, args: copies });
    }
    session.answerInTurn((out) => out.queued());
  }

  #whyNotQueued(spec: CommandSpec, args: Arguments): string | undefined {
    if (spec.run.kind === "alone" && spec.run.queued === undefined) return NOT_IN_MULTI;
    if ((this.#queued?.length ?? 0) >= RESP_QUEUED_COMMANDS_MAX) {
      return `ERR a transaction may have ${RESP_QUEUED_COMMANDS_MAX} commands`;
    }
    if (this.#bytes + bytesOf(args) > RESP_COMMAND_BYTES_MAX) {
      return `ERR the commands of a transaction may have ${RESP_COMMAND_BYTES_MAX} bytes together`;
    }
    return undefined;
  }

  get watching(): boolean {
    return this.#watched.size > 0;
  }

  watch(keys: readonly string[]): void {
    const session = this.#session;
    if (this.open) {
      session.answerInTurn((out) => out.error("ERR WATCH inside MULTI is not allowed"));
      return;
    }
    const fresh = [...new Set(keys)].filter((key) => !this.#watched.has(key));
    if (this.#watched.size + fresh.length > RESP_WATCHED_KEYS_MAX) {
      session.answerInTurn((out) =>
        out.error(`ERR a connection may watch ${RESP_WATCHED_KEYS_MAX} keys`)
      );
      return;
    }
    session.runAlone((done) => {
      const gets = fresh.map((key): KeyRequest => ({ req_type: "get", key }));
      session.server.executeEach(gets, (request, then) => session.execute(request, then), (all) => {
        const failed = all.find((reply) => reply.req_type !== "data" && !isNotFound(reply));
        if (failed?.req_type === "error") {
          session.answer((out) => out.error(errorText(failed)));
        } else {
          fresh.forEach((key, i) => this.#watched.set(key, versionOf(all[i])));
          session.answer((out) => out.ok());
        }
        done();
      });
    });
  }

  unwatch(): void {
    this.#watched.clear();
  }

  exec(): void {
    const session = this.#session;
    const queued = this.#queued;
    if (queued === undefined) {
      session.answerInTurn((out) => out.error("ERR EXEC without MULTI"));
      return;
    }
    const spoiled = this.#spoiled;
    const watched = this.#watched;
    const bytes = this.#bytes;
    this.#watched = new Map();
    this.#close();
    if (spoiled) {
      session.answerInTurn((out) =>
        out.error("EXECABORT Transaction discarded because of previous errors.")
      );
      return;
    }
    const steps = queued.map(({ spec, args }) =>
      readyStep(spec, args, session.server, session.call)
    );
    const keys = new Set([...watched.keys(), ...steps.flatMap(keysOfStep)]);
    const looks = steps.some(({ kind }) => kind === "view" || kind === "script");
    if (keys.size === 0 && !looks) {
      session.answerInTurn((out) => writeSteps(out, steps, [], this.#runNow));
      return;
    }
    if (looks) {
      this.#bytes = bytes;
      session.runAlone((done) => {
        const run = (view: KeySnapshot) => runSteps(steps, view, this.#runNow);
        this.#runner.lookAndWrite([...keys], watched, run, (write) => {
          this.#bytes = 0;
          session.answer(write);
          done();
        });
      });
      return;
    }
    const requests = steps.flatMap((step) => step.kind === "plan" ? step.requests : []);
    const [first = ""] = keys;
    // There must be a request, which is done only if the watched keys are unchanged.
    if (requests.length === 0) requests.push({ req_type: "exists", key: first });
    const write = (out: RespWriter, replies: readonly Reply[]) =>
      writeSteps(out, steps, replies, this.#runNow);
    if (this.isSpread(keys)) {
      // It takes more than one step, so what comes after it waits.
      this.#bytes = bytes;
      session.runAlone((done) =>
        this.#runner.runTogether(requests, watched, write, (answer) => {
          this.#bytes = 0;
          session.answer(answer);
          done();
        })
      );
      return;
    }
    const size = bytes + queued.length * REQUEST_OVERHEAD_BYTES;
    session.answerLater(
      size,
      (finish) => this.#runner.runTogether(requests, watched, write, finish),
    );
  }

  /** The arguments of a command that will run alone count as bytes under way, until it has run. */
  prepare(args: Arguments): void {
    this.#bytes = bytesOf(args);
  }

  /** Runs one command that looks before it writes. It must run alone. */
  runView(
    keys: readonly string[],
    run: (view: RequestView) => Write | Promise<Write>,
    done: () => void,
  ): void {
    const session = this.#session;
    const distinct = [...new Set(keys)];
    this.#runner.lookAndWrite(distinct, new Map(), run, (write) => {
      this.#bytes = 0;
      session.answer(write);
      done();
    });
  }

  /** Whether keys are in several partitions; then they are not read or changed in one step. */
  isSpread(keys: Iterable<string>): boolean {
    return this.#runner.isSpread(keys);
  }

  /** Carries out all requests of a command, or none. */
  runPlan(plan: ManyPlan, finish: (write: Write, replies?: readonly Reply[]) => void): void {
    const write = (out: RespWriter, replies: readonly Reply[]) => plan.finishAll(out, replies);
    this.#runner.runTogether(plan.requests, new Map(), write, finish);
  }

  #close(): void {
    this.#queued = undefined;
    this.#bytes = 0;
    this.#spoiled = false;
  }
}

/** A command that runs alone elsewhere, as it runs here. */
function asQueued(spec: CommandSpec, args: Arguments, session: CommandSession): CommandSpec {
  const { run } = spec;
  const queued = run.kind === "alone" ? run.queued?.(args, session) : undefined;
  return queued === undefined ? spec : { ...spec, run: queued };
}

function versionOf(reply: Reply | undefined): number {
  return reply?.req_type === "data" ? reply.version ?? 0 : 0;
}

function bytesOf(args: Arguments): number {
  return args.reduce((sum, argument) => sum + argument.length, 0);
}
