/**
 * One connection of the Redis front end. Commands come from the parser, run, and are answered in order. A
 * command's row says what it does (`commands/`). The session gives it its turn, and holds back a client that
 * asks for much or reads slowly.
 *
 * Invariants: each command gets one reply, in order (none if the client has switched replies off). At most
 * `RESP_PENDING_MAX` commands are under way, fewer if replies are long or wait for their turn. While more than
 * `REPLY_BYTES_PAUSE` of replies are unread, nothing is read. If the last reply of a connection was long, one
 * command is under way at a time, and each begins in a turn of its own among all heavy work.
 *
 * @module
 */
import type { Seat } from "../../shared/admission/seat.ts";
import { invariant } from "../../shared/base/errors.ts";
import { WRITE_JOIN_BYTES } from "../../shared/limits/connections.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { RESP_PENDING_MAX, RESP_PENDING_REPLY_BYTES } from "../../shared/limits/resp.ts";
import { type Called, CALLER, type Caller } from "../../shared/wire/caller.ts";
import type { Database } from "../../shared/database/database.ts";
import { Keyspace } from "../../shared/database/keyspace.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { formatAddress, type Stream } from "../../shared/platform/transport.ts";
import type {
  Arguments,
  Call,
  CommandRun,
  CommandSpec,
  ReplyMode,
  Write,
} from "./command/command.ts";
import { RespParser } from "./protocol/parser.ts";
import { codeOfText } from "./command/error_text.ts";
import { mayHearChannel } from "./command/key_channels.ts";
import { thrownText } from "./command/replies.ts";
import { RespLogin } from "./login.ts";
import { toErrorReply } from "../../shared/wire/error_reply.ts";
import { CommandDispatch, type DispatchSession, type Measured } from "./command_dispatch.ts";
import { ReplyQueue } from "./reply_queue.ts";
import type { SessionServer } from "./session_server.ts";
import { SessionOutput } from "./session_output.ts";
import type { Retirable } from "../../shared/server/draining.ts";
import { StreamGuard } from "./protocol/stream_guard.ts";
import { Transaction, type TransactionSession } from "./transactions/transaction.ts";
import type { RespWriter } from "./protocol/writer.ts";

/** Serves one stream. */
export class RespSession implements DispatchSession, TransactionSession, Retirable, Caller {
  readonly id: number;
  readonly isShared: boolean;
  readonly stream: Stream;
  readonly server: SessionServer;
  readonly createdMs: number;
  /** What the CLIENT command has set. */
  clientName = "";
  libraryName = "";
  libraryVersion = "";
  noEvict = false;
  lastCommand: CommandSpec | undefined;
  lastActiveMs: number;
  measured: Measured | undefined;
  /** The partition of the last write; for WAIT. */
  lastWrittenKey: string | undefined;
  readonly transaction: Transaction;
  readonly login: RespLogin;
  readonly #output: SessionOutput;
  readonly #seat: Seat;
  readonly #parser: RespParser;
  readonly #queue: ReplyQueue;
  readonly #guard: StreamGuard;
  readonly #dispatch: CommandDispatch;
  /** The whole cluster, with stored keys, as far as this connection may use it. */
  readonly #cluster: Database;
  #database: Keyspace;
  /** A command runs alone, or waits to. */
  #alone = false;
  #waitingAlone: (() => void) | undefined;
  /** What is pushed when it has run. */
  #afterAlone: Write[] = [];
  /** No more bytes will arrive; commands that have arrived may still wait for their turn. */
  #inputEnded = false;
  /** It ends at the first moment when nothing is being asked. */
  #retiring = false;
  /** Nothing more is read: the connection closes when everything is answered. */
  #ending = false;
  #closed = false;
  #paused = false;
  #pumping = false;
  /** CLIENT PAUSE: the next command has to wait. */
  #postponed = false;
  /** A command was completed since the guard was last told. */
  #endedCommand = false;
  #pumpScheduled = false;
  /** It waits for its turn among heavy work. */
  #turnAsked = false;
  /** Taken from the budget for commands that are not under way yet. */
  #heldBytes = 0;

  /** Begins reading `stream`, which must not have been started. */
  constructor(
    server: SessionServer,
    stream: Stream,
    id: number,
    seat: Seat,
    isShared: boolean,
  ) {
    this.id = id;
    this.isShared = isShared;
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
      onMeasured: ({ beganMs, plan }, series, code) =>
        server.metrics.ended(series, beganMs, code, plan?.request, stream.remote),
    });
    this.#guard = new StreamGuard(server.clock, stream, (why) => {
      server.log.info("a Redis client hangs: connection closed", { remote: this.address, why });
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
    this.login = new RespLogin(server.access, server.database, stream.remote);
    const { database } = this.login;
    this.#cluster = {
      map: () => database.map(),
      execute: (request, _, done) => this.executeStored(request, done),
      scan: (request, timeoutMs, done) => database.scan(request, timeoutMs, done),
      count: (request, timeoutMs, done) => database.count(request, timeoutMs, done),
      watch: (request) => database.watch(request),
    };
    this.#database = new Keyspace(this.#cluster);
    this.transaction = new Transaction(this);
    this.#dispatch = new CommandDispatch(this, this.#queue);
    stream.start({
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => {
        this.#inputEnded = true;
        this.#schedulePump();
      },
      onClose: () => this.#onClose(),
      onDrain: () => {
        this.#output.drained();
        server.watches.onDrain(this);
        this.#schedulePump();
      },
    });
  }

  get out(): RespWriter {
    return this.#output.out;
  }

  get call(): Call {
    return this.#dispatch.call;
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

  /** True if its commands are kept out of the way of others. */
  get heavy(): boolean {
    return this.#output.lengths.isHeavy(this.#queue.size);
  }

  get address(): string {
    return formatAddress(this.stream.remote);
  }

  /** The number of unanswered commands. */
  get outstanding(): number {
    return this.#queue.size + (this.#alone ? 1 : 0);
  }

  /** Waiting bytes: of incomplete commands, and of replies. */
  get keptBytes(): { readonly query: number; readonly replies: number } {
    return {
      query: this.#parser.keptBytes,
      replies: this.out.length + this.stream.queuedBytes,
    };
  }

  /** The node stops: the connection ends between two commands, when everything that arrived is answered. */
  retire(): void {
    this.#retiring = true;
    this.server.pause.end();
    // What arrives with its first bytes is still on its way to here.
    this.#schedulePump();
  }

  postpone(args: Arguments): void {
    this.#parser.putBack(args);
    this.#postponed = true;
  }

  /** The pause is over. */
  goOn(): void {
    if (!this.#postponed) return;
    this.#postponed = false;
    this.#schedulePump();
  }

  /** Reads nothing more; the commands that have arrived are answered, then the connection ends. */
  endInput(): void {
    this.#inputEnded = true;
    this.#schedulePump();
  }

  /** Ends the connection, once everything before is answered and sent. */
  end(): void {
    this.#ending = true;
    this.#closeWhenDone();
  }

  /** Ends the connection now; with `flush`, after the answers have been sent. */
  close(flush: boolean): void {
    if (this.#closed) return;
    if (flush) this.#output.flush();
    this.#closed = true;
    this.#output.end();
    this.stream.close(flush);
  }

  /** Writes a command's answer. It must be its turn. */
  answer(write: Write): void {
    this.#output.answer(write);
  }

  push(write: Write): void {
    this.#output.push(write);
  }

  pushInTurn(write: Write): void {
    if (this.#alone) this.#afterAlone.push(write);
    else if (this.#queue.size === 0) this.push(write);
    else this.#queue.add(0).finish(() => this.push(write));
  }

  mayHear(channel: string): boolean {
    return mayHearChannel(this.login, channel);
  }

  /** Answers in turn: now, if nothing comes before it. */
  answerInTurn(write: Write): void {
    if (this.#queue.size === 0) this.answer(write);
    else this.#queue.add(0).finish(write);
  }

  /** A transaction of this many bytes, whose reply comes later; other commands go on meanwhile. */
  answerLater(
    bytes: number,
    begin: (finish: (write: Write, replies?: readonly Reply[]) => void) => void,
  ): void {
    // What was reserved for it is under way from now on.
    const { budget } = this.server;
    const held = Math.min(bytes, this.#heldBytes);
    budget.give(held);
    this.#heldBytes -= held;
    if (!budget.take(bytes)) {
      this.refuseBytes();
      return;
    }
    const slot = this.#queue.add(bytes);
    const measured = this.takeMeasured();
    slot.series = measured?.series;
    slot.beganMs = measured?.beganMs ?? 0;
    begin((write, replies) => slot.finish(write, replies));
  }

  /** Runs something after everything that is under way, and before anything else is read. */
  runAlone(begin: (done: () => void) => void): void {
    invariant(!this.#alone, "one command runs alone");
    this.#alone = true;
    const measured = this.takeMeasured();
    const run = () => {
      let ended = false;
      const { errors } = this.out;
      const done = () => {
        if (ended || this.#closed) return;
        ended = true;
        this.#alone = false;
        for (const write of this.#afterAlone.splice(0)) this.push(write);
        if (measured !== undefined) this.#countAlone(measured, errors);
        this.#onProgress();
      };
      try {
        begin(done);
      } catch (error) {
        this.failed(error);
        done();
      }
    };
    if (this.#queue.size === 0) run();
    else this.#waitingAlone = run;
  }

  /** What runs alone, and has written its answer, is counted. @param errorsBefore how many had been written before it */
  #countAlone({ series, beganMs }: Measured, errorsBefore: number): void {
    const { errors, lastError } = this.out;
    const code = errors > errorsBefore ? codeOfText(lastError) : undefined;
    this.server.metrics.ended(series, beganMs, code, undefined, this.stream.remote);
  }

  /** How the command is counted that is being begun; whoever takes it counts it. */
  takeMeasured(): Measured | undefined {
    const { measured } = this;
    this.measured = undefined;
    return measured;
  }

  get database(): Keyspace {
    return this.#database;
  }

  get keyPrefix(): string {
    return this.#database.prefix;
  }

  useDatabase(name: string): void {
    this.#database = this.inDatabase(name);
  }

  inDatabase(name: string): Keyspace {
    return new Keyspace(this.#cluster, name);
  }

  /** Carries out a request. `done` is called once, perhaps before this returns. */
  execute(request: KeyRequest, done: (reply: Reply) => void): void {
    this.#database.execute(request, REQUEST_TIMEOUT_MS, done);
  }

  executeStored(given: KeyRequest & Called, done: (reply: Reply) => void): void {
    const refusal = this.login.judge(given);
    if (refusal !== undefined) {
      done(toErrorReply(refusal));
      return;
    }
    const request = this.login.ofUser(given);
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

  /** The bytes of an incomplete command and of a queued transaction count as well. */
  #account(): void {
    this.#seat.hold("input", this.#parser.keptBytes);
    const wanted = this.#closed ? 0 : this.transaction.bytes;
    const { budget } = this.server;
    if (wanted === this.#heldBytes) return;
    budget.give(this.#heldBytes);
    this.#heldBytes = budget.take(wanted) ? wanted : 0;
    if (this.#heldBytes === wanted) return;
    this.#ending = true;
    this.refuseBytes();
    this.close(true);
  }

  /** Too many bytes of requests are under way, of this connection or of all. */
  refuseBytes(): void {
    this.answerInTurn((out) =>
      out.error("TRYAGAIN overloaded too many bytes of requests are under way; try later")
    );
  }

  /** Runs commands as long as there are any and none must wait; in turns if the connection gets long replies. */
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

  /** Runs commands as described for {@linkcode #pump}; only the next one if the last reply was long. */
  #runCommands(): void {
    this.#pumping = true;
    let another = false;
    const parser = this.#parser;
    while (!this.#mustWait()) {
      const args = parser.next();
      if (args === undefined) break;
      this.#endedCommand = true;
      if (this.#seat.standing === "newcomer" && !this.#speak()) break;
      this.#dispatch.run(args);
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

  /** Nothing is being asked: everything is answered, and no command or MULTI has begun. */
  #isIdle(): boolean {
    return this.outstanding === 0 && !this.#parser.hasPart && !this.transaction.open &&
      !this.#mustWait();
  }

  /** The first command takes a place. @returns false if there is none, and the connection ends */
  #speak(): boolean {
    const refusal = this.#seat.speak();
    if (refusal === undefined) return !this.#seat.ended;
    this.#ending = true;
    this.out.error(`TRYAGAIN ${refusal.code} ${refusal.message}`);
    return false;
  }

  #mustWait(): boolean {
    return this.#alone || this.#output.backedUp || this.#ending || this.#closed ||
      this.#turnAsked || this.#postponed ||
      this.#queue.size >= RESP_PENDING_MAX ||
      (this.#output.lengths.last === "heavy" && this.#queue.size > 0) ||
      this.#queue.size * this.#output.lateReplyBytes + this.#queue.replyBytes >
        RESP_PENDING_REPLY_BYTES;
  }

  /** Stops reading if commands must wait, and goes on if they need not. */
  #balance(): void {
    if (this.#closed) return;
    const mustWait = this.#mustWait();
    // The time of our own pause does not count against the sender of a command.
    this.#guard.read(!mustWait && this.#parser.hasPart, this.#endedCommand);
    this.#endedCommand = false;
    if (mustWait === this.#paused) return;
    this.#paused = mustWait;
    if (mustWait) this.stream.pause();
    else this.stream.resume();
  }

  /** Refuses a command that cannot even be queued. */
  readonly refuse = (text: string): undefined => {
    this.transaction.spoil();
    this.answerInTurn((out) => out.error(text));
    return undefined;
  };

  /** A command has failed before it was begun. */
  failed(error: unknown): void {
    const text = thrownText(error);
    this.answerInTurn((out) => out.error(text));
  }

  /** Runs a command that answers at once, in its turn. */
  runInTurn(run: CommandRun, args: Arguments): void {
    this.#dispatch.runInTurn(run, args);
  }

  #onProgress(): void {
    if (this.#closed) return;
    if (this.#queue.size === 0 && this.#waitingAlone !== undefined) {
      const run = this.#waitingAlone;
      this.#waitingAlone = undefined;
      run();
    }
    if (this.#pumping) return;
    // What has run alone holds no bytes any more.
    this.#account();
    if (this.#closed) return;
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
    this.server.pubSub.local.forget(this);
    this.server.watches.forget(this);
    this.server.tracking.off(this);
    this.server.forget(this);
  }
}
