/**
 * What becomes of a command that has come over a connection: it is found in the table, checked, and run as its
 * row says: at once, as requests, as a view of some keys, alone, or as a part of a transaction.
 *
 * @module
 */
import { REQUEST_OVERHEAD_BYTES } from "../../shared/limits/admission.ts";
import { type RequestSeries, UNKNOWN_OPERATION } from "../../shared/metrics/request_metrics.ts";
import type { Called } from "../../shared/wire/caller.ts";
import type { KeyRequest, ReplyTo } from "../../shared/wire/messages.ts";
import { wrongArity } from "./command/arguments.ts";
import {
  type Arguments,
  type Call,
  type CommandSession,
  type CommandSpec,
  type ManyPlan,
  mayWrite,
  type OnePlan,
  type Plan,
} from "./command/command.ts";
import { codeOfText } from "./command/error_text.ts";
import { thrownText } from "./command/replies.ts";
import { unknownCommandText, unknownSubcommandText } from "./command/unknown_command.ts";
import type { ReplyQueue, Slot } from "./reply_queue.ts";
import type { RespLogin } from "./login.ts";
import type { SessionServer } from "./session_server.ts";
import type { Transaction } from "./transactions/transaction.ts";

/** Where a command is counted, and when it came. */
export interface Measured {
  readonly series: RequestSeries;
  readonly beganMs: number;
}

/** The connection, as a command that runs needs it (`session.ts`). */
export interface DispatchSession extends CommandSession {
  readonly server: SessionServer;
  readonly transaction: Transaction;
  readonly login: RespLogin;
  lastCommand: CommandSpec | undefined;
  /** How the command is counted that is being begun, until somebody takes it who knows when it ends. */
  measured: Measured | undefined;
  takeMeasured(): Measured | undefined;
  /** Runs something after all that is under way, and before anything else is read. */
  runAlone(begin: (done: () => void) => void): void;
  execute(request: KeyRequest & Called, done: ReplyTo): void;
  /** The command waits until {@linkcode SessionServer.pause} ends, and all that come after it do. */
  postpone(args: Arguments): void;
  /** Too many bytes of requests are under way. */
  refuseBytes(): void;
  /** A command has failed before it was begun. */
  failed(error: unknown): void;
}

/** What a RESP2 client that has subscribed may say: an answer would look like a message to it. */
function mayFollow({ name }: CommandSpec): boolean {
  return /^[ps]?(un)?subscribe$/.test(name) || ["ping", "quit", "reset"].includes(name);
}

/** Runs the commands of one connection. */
export class CommandDispatch {
  readonly #session: DispatchSession;
  readonly #queue: ReplyQueue;
  /** What commands get. */
  readonly call: Call;

  constructor(session: DispatchSession, queue: ReplyQueue) {
    this.#session = session;
    this.#queue = queue;
    this.call = { out: session.out, session, server: session.server };
  }

  /** Runs a command, or puts it aside for EXEC. Its arguments are copied if they are needed later. */
  run(args: Arguments): void {
    const session = this.#session;
    const { server, transaction } = session;
    const { metrics } = server;
    const beganMs = metrics.beganMs();
    const spec = this.#find(args);
    if (spec === undefined) {
      metrics.ended(metrics.series("resp", UNKNOWN_OPERATION), beganMs, "bad_request");
      return;
    }
    const refusal = session.login.whyRefused(spec);
    if (server.pause.mode !== undefined && refusal === undefined && this.#waits(spec)) {
      session.postpone(args);
      return;
    }
    session.lastCommand = spec;
    server.counted();
    const series = metrics.series("resp", spec.name);
    if (refusal !== undefined) {
      session.refuse(refusal);
      metrics.ended(series, beganMs, codeOfText(refusal));
      return;
    }
    if (session.out.protocol === 2 && server.pubSub.local.has(session) && !mayFollow(spec)) {
      session.refuse(
        `ERR Can't execute '${spec.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / ` +
          "RESET are allowed in this context",
      );
      return;
    }
    server.tracking.begins(session, spec, args, transaction.open);
    const { run } = spec;
    if (transaction.open && run.kind !== "frame") {
      // It is counted as a part of EXEC.
      transaction.queue(spec, args);
      return;
    }
    if (run.kind === "plan") {
      this.#plan(run, args, series, beganMs);
      return;
    }
    const { errors } = session.out;
    session.measured = { series, beganMs };
    this.#run(run, args);
    if (session.takeMeasured() === undefined) return;
    const code = session.out.errors > errors ? codeOfText(session.out.lastError) : undefined;
    metrics.ended(series, beganMs, code);
  }

  /** CLIENT PAUSE. */
  #waits(spec: CommandSpec): boolean {
    const { server, transaction } = this.#session;
    return server.pause.mode === "all" || mayWrite(spec) ||
      (spec.name === "exec" && transaction.mayWrite);
  }

  #plan(
    run: Extract<CommandSpec["run"], { kind: "plan" }>,
    args: Arguments,
    series: RequestSeries,
    beganMs: number,
  ): void {
    const { server } = this.#session;
    try {
      this.#begin(args, run.plan(args, server), series, beganMs);
    } catch (error) {
      this.#session.failed(error);
      server.metrics.ended(series, beganMs, codeOfText(thrownText(error)));
    }
  }

  #run(run: Exclude<CommandSpec["run"], { kind: "plan" }>, args: Arguments): void {
    const session = this.#session;
    const { transaction } = session;
    try {
      switch (run.kind) {
        case "frame":
          run.run(args, session);
          return;
        case "now":
          this.#runNow(run, args);
          return;
        case "view":
        case "script": {
          const copies = args.map((argument) => argument.slice());
          const keys = run.keys(copies);
          transaction.prepare(copies);
          this.#session.runAlone((done) =>
            transaction.runView(keys, (view) => run.run(copies, view, this.call), done)
          );
          return;
        }
        case "alone": {
          const copies = args.map((argument) => argument.slice());
          this.#session.runAlone((done) => run.run(copies, this.call, done));
          return;
        }
      }
    } catch (error) {
      this.#session.failed(error);
    }
  }

  /** Runs a command that answers at once, in its turn. */
  runInTurn(run: CommandSpec["run"], args: Arguments): void {
    if (run.kind !== "now") return;
    try {
      run.run(args, this.call);
    } catch (error) {
      this.#session.out.error(thrownText(error));
    }
  }

  #runNow(run: CommandSpec["run"], args: Arguments): void {
    if (this.#queue.size === 0) {
      this.#session.answer(() => this.runInTurn(run, args));
      return;
    }
    const copies = args.map((argument) => argument.slice());
    this.#queue.add(0).finish(() => this.runInTurn(run, copies));
  }

  #find(args: Arguments): CommandSpec | undefined {
    const [name, second] = args;
    if (name === undefined) return undefined;
    const { commands } = this.#session.server.table;
    let spec = commands.find(name);
    if (spec === undefined) return this.#session.refuse(unknownCommandText(args));
    if (spec.subcommands !== undefined && second !== undefined) {
      const found = this.#session.server.table.subcommands.get(spec)?.find(second);
      if (found === undefined) return this.#session.refuse(unknownSubcommandText(spec, second));
      spec = found;
    }
    const { arity } = spec;
    if (arity > 0 ? args.length !== arity : args.length < -arity) {
      const { message } = wrongArity(spec.name);
      if (spec.name !== "exec") return this.#session.refuse(message);
      this.#session.transaction.abort(message.replace("ERR ", ""));
      return undefined;
    }
    return spec;
  }

  #begin(args: Arguments, plan: Plan, series: RequestSeries, beganMs: number): void {
    const bytes = sizeOf(args);
    const { server } = this.#session;
    if (!server.budget.take(bytes)) {
      this.#session.refuseBytes();
      server.metrics.ended(series, beganMs, "overloaded");
      return;
    }
    if ("requests" in plan && plan.together === true && plan.requests.length > 1) {
      this.#beginTogether(bytes, plan);
      return;
    }
    const slot = this.#queue.add(bytes);
    slot.series = series;
    slot.beganMs = beganMs;
    if ("request" in plan) this.#beginOne(slot, plan);
    else this.#beginMany(slot, plan);
  }

  /** In several partitions it takes more than one step, so what comes after it waits. */
  #beginTogether(bytes: number, plan: ManyPlan): void {
    const { transaction, server } = this.#session;
    if (!transaction.isSpread(plan.requests.map(({ key }) => key))) {
      const slot = this.#queue.add(bytes);
      transaction.runPlan(plan, (write, replies) => slot.finish(write, replies));
      return;
    }
    this.#session.runAlone((done) =>
      transaction.runPlan(plan, (write) => {
        server.budget.give(bytes);
        this.#session.answer(write);
        done();
      })
    );
  }

  #beginOne(slot: Slot, plan: OnePlan): void {
    slot.plan = plan;
    try {
      this.#session.execute(plan.request, slot.onReply);
    } catch (error) {
      const text = thrownText(error);
      slot.finish((out) => out.error(text), [], codeOfText(text));
    }
  }

  #beginMany(slot: Slot, plan: ManyPlan): void {
    this.#session.server.executeEach(
      plan.requests,
      (request, done) => this.#session.execute(request, done),
      (all) => slot.finish((out) => plan.finishAll(out, all), all),
    );
  }
}

function sizeOf(args: Arguments): number {
  let bytes = REQUEST_OVERHEAD_BYTES;
  for (const argument of args) bytes += argument.length;
  return bytes;
}
