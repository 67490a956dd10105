/**
 * One connection of the Redis front end: commands come from the parser, run, and are answered in order. What
 * a command means is its row's business (`commands/`); here it gets its turn, and a client that asks
 * much or reads slowly is held back.
 *
 * Invariants: each command gets one reply, in order (none where the client has switched replies off);
 * at most `RESP_PENDING_MAX` commands are under way, fewer where replies are long or wait for their turn; while more than
 * `REPLY_BYTES_PAUSE` of replies are unread nothing is read; a connection whose last reply was long has one
 * command under way at a time, each begun in a turn of its own among all heavy work.
 *
 * @module
 */
import type { Seat } from "../../shared/admission/seat.ts";
import { invariant } from "../../shared/base/errors.ts";
import {
  REQUEST_OVERHEAD_BYTES,
  REQUEST_TIMEOUT_MS,
  RESP_PENDING_MAX,
  RESP_PENDING_REPLY_BYTES,
  WRITE_JOIN_BYTES,
} from "../../shared/base/limits.ts";
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import type { ByteSlab } from "../storage/byte_slab.ts";
import { type Called, CALLER, type Caller } from "../../shared/wire/caller.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { formatAddress, type Stream } from "../../shared/platform/transport.ts";
import { wrongArity } from "./command/arguments.ts";
import type {
  Arguments,
  Call,
  CommandServer,
  CommandSession,
  CommandSpec,
  ManyPlan,
  OnePlan,
  Plan,
  ReplyMode,
  Write,
} from "./command/command.ts";
import { unknownCommandText, unknownSubcommandText } from "./command/unknown_command.ts";
import type { CommandTable } from "./tables/command_table.ts";
import { RespParser } from "./protocol/parser.ts";
import { thrownText } from "./command/replies.ts";
import { RespLogin } from "./login.ts";
import { toErrorReply } from "../../shared/wire/error_reply.ts";
import type { AccessControl } from "../../shared/security/access_control.ts";
import { ReplyQueue, type Slot } from "./reply_queue.ts";
import { SessionOutput } from "./session_output.ts";
import type { Retirable } from "../../shared/server/draining.ts";
import { StreamGuard } from "./protocol/stream_guard.ts";
import { Transaction, type TransactionSession } from "./transactions/transaction.ts";
import type { RespWriter } from "./protocol/writer.ts";

/** What sessions share (`resp_server.ts`). */
export interface SessionServer extends CommandServer {
  readonly table: CommandTable;
  /** Of a secured cluster: who may do what. */
  readonly access: AccessControl | undefined;
  /** Of the requests of all connections that are not answered. */
  readonly budget: ByteBudget;
  /** For values and replies on their way. */
  readonly slab: ByteSlab;
  readonly parserLimits: { readonly argumentBytesMax: number };
  /** Counts one more command. */
  counted(): void;
  /** The session has ended. */
  forget(session: CommandSession): void;
}

/** Serves one stream. */
export class RespSession implements CommandSession, TransactionSession, Retirable, Caller {
  readonly id: number;
  readonly stream: Stream;
  readonly server: SessionServer;
  readonly createdMs: number;
  /** What CLIENT says of it. */
  clientName = "";
  libraryName = "";
  libraryVersion = "";
  noEvict = false;
  lastCommand: CommandSpec | undefined;
  lastActiveMs: number;
  /** Of the last write; for WAIT. */
  lastWrittenKey: string | undefined;
  readonly transaction: Transaction;
  readonly login: RespLogin;
  readonly #output: SessionOutput;
  readonly #seat: Seat;
  readonly #parser: RespParser;
  readonly #queue: ReplyQueue;
  readonly #guard: StreamGuard;
  readonly #call: Call;
  /** Something runs alone, or waits to. */
  #alone = false;
  #waitingAlone: (() => void) | undefined;
  /** No more bytes will come; commands that have come may still wait for their turn. */
  #inputEnded = false;
  /** It ends at the first moment at which nothing is being asked. */
  #retiring = false;
  /** Nothing more is read: the connection closes when all is answered. */
  #ending = false;
  #closed = false;
  #paused = false;
  #pumping = false;
  /** A command was completed since the guard was last told. */
  #endedCommand = false;
  #pumpScheduled = false;
  /** It waits for its turn among heavy work. */
  #turnAsked = false;
  /** Taken out of the budget for what is not under way yet. */
  #heldBytes = 0;

  /** Begins reading `stream`, which must not have been started. */
  constructor(server: SessionServer, stream: Stream, id: number, seat: Seat) {
    this.id = id;
    this.#seat = seat;
    this.server = server;
    this.stream = stream;
    this.createdMs = this.lastActiveMs = server.clock.monotonicMs();
    this.#parser = new RespParser(server.parserLimits);
    this.#queue = new ReplyQueue({
      onTurn: (write, bytes) => {
        server.budget.give(bytes);
        this.answer(write);
      },
      onReply: (plan, reply, bytes) => {
        server.budget.give(bytes);
        this.#output.answerPlan(plan, reply);
      },
      onKept: (bytes) => seat.owe(bytes),
      onProgress: () => this.#onProgress(),
    });
    this.#guard = new StreamGuard(server.clock, stream, (why) => {
      server.log.info("a Redis client hangs: cut off", { remote: this.address, why });
      this.close(false);
    });
    this.#output = new SessionOutput(server, stream, this.#guard, {
      onBackedUp: () => this.#balance(),
      onUnread: (queuedBytes) => {
        server.log.warn("a Redis client does not read its replies: cut off", {
          remote: this.address,
          queued_bytes: queuedBytes,
        });
        this.close(false);
      },
    });
    this.#call = { out: this.out, session: this, server };
    this.login = new RespLogin(server.access, server.database, stream.remote);
    this.transaction = new Transaction(this);
    stream.start({
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => {
        this.#inputEnded = true;
        this.#schedulePump();
      },
      onClose: () => this.#onClose(),
      onDrain: () => {
        this.#output.drained();
        this.#schedulePump();
      },
    });
  }

  get out(): RespWriter {
    return this.#output.out;
  }

  get replyMode(): ReplyMode {
    return this.#output.mode;
  }

  set replyMode(mode: ReplyMode) {
    this.#output.mode = mode;
  }

  get repliesSwitchedOn(): boolean {
    return this.#output.switchedOn;
  }

  set repliesSwitchedOn(switchedOn: boolean) {
    this.#output.switchedOn = switchedOn;
  }

  /** Nobody waits for answers any more. */
  get closed(): boolean {
    return this.#closed || this.#seat.ended;
  }

  /** What it asks is kept out of the way of others. */
  get heavy(): boolean {
    return this.#output.lengths.isHeavy(this.#queue.size);
  }

  get address(): string {
    return formatAddress(this.stream.remote);
  }

  /** Commands that are not answered. */
  get outstanding(): number {
    return this.#queue.size + (this.#alone ? 1 : 0);
  }

  /** Bytes that wait: of commands that are not complete, and of replies. */
  get keptBytes(): { readonly query: number; readonly replies: number } {
    return {
      query: this.#parser.keptBytes,
      replies: this.out.length + this.stream.queuedBytes,
    };
  }

  /** The node stops: the connection ends between two commands, when all that came is answered. */
  retire(): void {
    this.#retiring = true;
    // What comes with its first bytes is on its way to here.
    this.#schedulePump();
  }

  /** Takes nothing more in; the commands that have come are answered, then the connection ends. */
  endInput(): void {
    this.#inputEnded = true;
    this.#schedulePump();
  }

  /** Ends the connection, once everything before is answered and sent. */
  end(): void {
    this.#ending = true;
    this.#closeWhenDone();
  }

  /** Ends the connection now; with `flush`, after what was answered is sent. */
  close(flush: boolean): void {
    if (this.#closed) return;
    if (flush) this.#output.flush();
    this.#closed = true;
    this.#output.end();
    this.stream.close(flush);
  }

  /** Writes what a command answers. It must be its turn. */
  answer(write: Write): void {
    this.#output.answer(write);
  }

  /** Answers in turn: now, if nothing is before it. */
  answerInTurn(write: Write): void {
    if (this.#queue.size === 0) this.answer(write);
    else this.#queue.add(0).finish(write);
  }

  /** A transaction, of so many bytes, whose reply comes later; others go on meanwhile. */
  answerLater(
    bytes: number,
    begin: (finish: (write: Write, replies?: readonly Reply[]) => void) => void,
  ): void {
    // What was held back for it is under way from now on.
    const { budget } = this.server;
    const held = Math.min(bytes, this.#heldBytes);
    budget.give(held);
    this.#heldBytes -= held;
    if (!budget.take(bytes)) {
      this.#refuseBytes();
      return;
    }
    const slot = this.#queue.add(bytes);
    begin((write, replies) => slot.finish(write, replies));
  }

  /** Runs something after all that is under way, and before anything else is read. */
  runAlone(begin: (done: () => void) => void): void {
    invariant(!this.#alone, "one command runs alone");
    this.#alone = true;
    const run = () => {
      let ended = false;
      const done = () => {
        if (ended || this.#closed) return;
        ended = true;
        this.#alone = false;
        this.#onProgress();
      };
      try {
        begin(done);
      } catch (error) {
        this.#failed(error);
        done();
      }
    };
    if (this.#queue.size === 0) run();
    else this.#waitingAlone = run;
  }

  /** Carries a request out. `done` is called once, perhaps before this returns. */
  execute(request: KeyRequest & Called, done: (reply: Reply) => void): void {
    const refusal = this.login.judge(request);
    if (refusal !== undefined) {
      done(toErrorReply(refusal));
      return;
    }
    const { req_type } = request;
    request[CALLER] = this;
    if (req_type !== "get" && req_type !== "exists") this.lastWrittenKey = request.key;
    this.server.execute(request, REQUEST_TIMEOUT_MS, done);
  }

  #onData(bytes: Uint8Array): void {
    if (this.#closed || this.#ending || this.#inputEnded) return;
    this.lastActiveMs = this.server.clock.monotonicMs();
    this.#parser.feed(bytes);
    this.#pump();
    this.#parser.keep();
    this.#account();
  }

  /** What a command in the making and a transaction hold back counts as well. */
  #account(): void {
    this.#seat.hold("input", this.#parser.keptBytes);
    const wanted = this.#closed ? 0 : this.transaction.bytes;
    const { budget } = this.server;
    if (wanted === this.#heldBytes) return;
    budget.give(this.#heldBytes);
    this.#heldBytes = budget.take(wanted) ? wanted : 0;
    if (this.#heldBytes === wanted) return;
    this.#ending = true;
    this.#refuseBytes();
    this.close(true);
  }

  #refuseBytes(): void {
    this.answerInTurn((out) =>
      out.error("TRYAGAIN overloaded too many bytes of requests are under way; try later")
    );
  }

  /** Runs commands as long as there are any, and none must wait; of whoever gets long replies in turns. */
  #pump(): void {
    if (this.#pumping || this.#closed || this.#turnAsked) return;
    if (this.#output.lengths.last !== "heavy") {
      this.#runCommands();
      return;
    }
    this.#turnAsked = true;
    this.server.work.add(() => {
      this.#turnAsked = false;
      if (this.#closed) return false;
      this.#runCommands();
      this.#parser.keep();
      this.#account();
      return false;
    });
    // It may have had its turn already.
    if (this.#turnAsked) this.#balance();
  }

  /** Runs commands as {@linkcode #pump} says; only the next one, if the last reply was long. */
  #runCommands(): void {
    this.#pumping = true;
    let another = false;
    const parser = this.#parser;
    while (!this.#mustWait()) {
      const args = parser.next();
      if (args === undefined) break;
      this.#endedCommand = true;
      if (this.#seat.standing === "newcomer" && !this.#speak()) break;
      this.#run(args);
      if (this.out.length > WRITE_JOIN_BYTES) this.#output.flush();
      another = this.#output.lengths.last === "heavy";
      if (another) break;
    }
    const { error } = parser;
    if (error !== undefined && !this.#ending) {
      this.#ending = true;
      this.answerInTurn((out) => out.error(error));
    }
    if (this.#inputEnded && !this.#mustWait()) this.#ending = true;
    if (this.#retiring && this.#isIdle()) this.#ending = true;
    this.#pumping = false;
    this.#output.scheduleFlush();
    this.#balance();
    this.#closeWhenDone();
    if (another && !this.#mustWait()) this.#pump();
  }

  /** Nothing is being asked: all that came is answered, and no command or MULTI has begun. */
  #isIdle(): boolean {
    return this.outstanding === 0 && !this.#parser.hasPart && !this.transaction.open &&
      !this.#mustWait();
  }

  /** The first command takes a place. @returns false if there is none, and all is over */
  #speak(): boolean {
    const refusal = this.#seat.speak();
    if (refusal === undefined) return !this.#seat.ended;
    this.#ending = true;
    this.out.error(`TRYAGAIN ${refusal.code} ${refusal.message}`);
    return false;
  }

  #mustWait(): boolean {
    return this.#alone || this.#output.backedUp || this.#ending || this.#closed ||
      this.#turnAsked ||
      this.#queue.size >= RESP_PENDING_MAX ||
      (this.#output.lengths.last === "heavy" && this.#queue.size > 0) ||
      this.#queue.size * this.#output.lateReplyBytes + this.#queue.replyBytes >
        RESP_PENDING_REPLY_BYTES;
  }

  /** Stops reading where commands must wait, and goes on where they need not. */
  #balance(): void {
    if (this.#closed) return;
    const mustWait = this.#mustWait();
    // The time that is ours does not count against the sender of a command.
    this.#guard.read(!mustWait && this.#parser.hasPart, this.#endedCommand);
    this.#endedCommand = false;
    if (mustWait === this.#paused) return;
    this.#paused = mustWait;
    if (mustWait) this.stream.pause();
    else this.stream.resume();
  }

  #run(args: Arguments): void {
    const { server, transaction } = this;
    const spec = this.#find(args);
    if (spec === undefined) return;
    this.lastCommand = spec;
    server.counted();
    const refusal = this.login.whyRefused(spec);
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    const { run } = spec;
    if (run.kind === "frame") {
      run.run(args, this);
      return;
    }
    if (transaction.open) {
      transaction.queue(spec, args);
      return;
    }
    try {
      switch (run.kind) {
        case "plan":
          this.#begin(args, run.plan(args, server));
          return;
        case "now":
          this.#runNow(run, args);
          return;
        case "view": {
          const copies = args.map((argument) => argument.slice());
          const keys = run.keys(copies);
          this.runAlone((done) => transaction.runView(keys, (view) => run.run(copies, view), done));
          return;
        }
        case "alone": {
          const copies = args.map((argument) => argument.slice());
          this.runAlone((done) => run.run(copies, this.#call, done));
          return;
        }
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Runs a command that answers at once, in its turn. */
  runInTurn(run: CommandSpec["run"], args: Arguments): void {
    if (run.kind !== "now") return;
    try {
      run.run(args, this.#call);
    } catch (error) {
      this.out.error(thrownText(error));
    }
  }

  #runNow(run: CommandSpec["run"], args: Arguments): void {
    if (this.#queue.size === 0) {
      this.answer(() => this.runInTurn(run, args));
      return;
    }
    const copies = args.map((argument) => argument.slice());
    this.#queue.add(0).finish(() => this.runInTurn(run, copies));
  }

  #find(args: Arguments): CommandSpec | undefined {
    const [name, second] = args;
    if (name === undefined) return undefined;
    const { commands } = this.server.table;
    let spec = commands.find(name);
    if (spec === undefined) return this.refuse(unknownCommandText(args));
    if (spec.subcommands !== undefined && second !== undefined) {
      const found = this.server.table.subcommands.get(spec)?.find(second);
      if (found === undefined) return this.refuse(unknownSubcommandText(spec, second));
      spec = found;
    }
    const { arity } = spec;
    if (arity > 0 ? args.length !== arity : args.length < -arity) {
      const { message } = wrongArity(spec.name);
      if (spec.name !== "exec") return this.refuse(message);
      this.transaction.abort(message.replace("ERR ", ""));
      return undefined;
    }
    return spec;
  }

  /** Refuses a command that cannot even be queued. */
  readonly refuse = (text: string): undefined => {
    this.transaction.spoil();
    this.answerInTurn((out) => out.error(text));
    return undefined;
  };

  #failed(error: unknown): void {
    const text = thrownText(error);
    this.answerInTurn((out) => out.error(text));
  }

  #begin(args: Arguments, plan: Plan): void {
    const bytes = sizeOf(args);
    if (!this.server.budget.take(bytes)) {
      this.#refuseBytes();
      return;
    }
    const slot = this.#queue.add(bytes);
    if ("request" in plan) this.#beginOne(slot, plan);
    else this.#beginMany(slot, plan);
  }

  #beginOne(slot: Slot, plan: OnePlan): void {
    slot.plan = plan;
    try {
      this.execute(plan.request, slot.onReply);
    } catch (error) {
      slot.finish((out) => out.error(thrownText(error)));
    }
  }

  #beginMany(slot: Slot, plan: ManyPlan): void {
    this.server.executeEach(
      plan.requests,
      (request, done) => this.execute(request, done),
      (all) => slot.finish((out) => plan.finishAll(out, all), all),
    );
  }

  #onProgress(): void {
    if (this.#closed) return;
    if (this.#queue.size === 0 && this.#waitingAlone !== undefined) {
      const run = this.#waitingAlone;
      this.#waitingAlone = undefined;
      run();
    }
    if (this.#pumping) return;
    if (this.out.length > WRITE_JOIN_BYTES) this.#output.flush();
    if (this.#paused || this.#ending || this.#inputEnded || this.#retiring) this.#schedulePump();
    else this.#output.scheduleFlush();
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.server.clock.defer(this.#pumpNow);
  }

  readonly #pumpNow = (): void => {
    this.#pumpScheduled = false;
    this.#pump();
    this.#parser.keep();
    this.#account();
  };

  #closeWhenDone(): void {
    if (this.#ending && this.outstanding === 0 && !this.#pumping) this.close(true);
  }

  #onClose(): void {
    this.#closed = true;
    this.#output.end();
    this.#guard.close();
    this.server.budget.give(this.#queue.clear() + this.#heldBytes);
    this.#heldBytes = 0;
    this.transaction.reset();
    this.server.forget(this);
  }
}

function sizeOf(args: Arguments): number {
  let bytes = REQUEST_OVERHEAD_BYTES;
  for (const argument of args) bytes += argument.length;
  return bytes;
}
