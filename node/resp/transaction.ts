/**
 * MULTI, EXEC, DISCARD, WATCH and UNWATCH of one connection, and commands that look before they write.
 * Commands between MULTI and EXEC wait here; EXEC makes one request of them all, which the partition's
 * primary carries out atomically and isolated, or not at all.
 *
 * Where one of them must look before it can say what it writes (RENAME, COPY), all of them are worked
 * out on a snapshot of the keys, and what they come to is written if no key has changed meanwhile.
 *
 * @module
 */
import { InvariantError, toKvError } from "../../shared/errors.ts";
import { toErrorReply } from "../../shared/error_reply.ts";
import {
  RESP_ATTEMPTS_MAX,
  RESP_COMMAND_BYTES_MAX,
  RESP_QUEUED_COMMANDS_MAX,
  RESP_WATCHED_KEYS_MAX,
} from "../../shared/limits.ts";
import type { KeyRequest, Reply } from "../../shared/messages.ts";
import { partitionOf } from "../../shared/position.ts";
import {
  type Arguments,
  CommandError,
  type CommandRun,
  type CommandSpec,
  type KeyView,
  type Plan,
} from "./command.ts";
import { CROSS_SLOT_ERROR, errorText } from "./error_text.ts";
import { KeySnapshot } from "./key_snapshot.ts";
import { isNotFound, thrownText } from "./replies.ts";
import type { RespSession } from "./session.ts";
import type { RespWriter } from "./writer.ts";

type Write = (out: RespWriter) => void;

/** A queued command, made ready. */
type Step =
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "now"; readonly run: CommandRun; readonly args: Arguments }
  | { readonly kind: "plan"; readonly plan: Plan; readonly requests: readonly KeyRequest[] }
  | {
    readonly kind: "view";
    readonly keys: readonly string[];
    run(view: KeyView): Write;
  };

const NOT_IN_MULTI = "ERR Command not allowed inside a transaction";

/** The transaction of one connection. */
export class Transaction {
  readonly #session: RespSession;
  #queued: { spec: CommandSpec; args: Arguments }[] | undefined;
  #bytes = 0;
  #spoiled = false;
  #watched = new Map<string, number>();

  constructor(session: RespSession) {
    this.#session = session;
  }

  /** Between MULTI and EXEC. */
  get open(): boolean {
    return this.#queued !== undefined;
  }

  /** Commands that wait; -1 outside MULTI. */
  get length(): number {
    return this.#queued?.length ?? -1;
  }

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

  /** Puts a command aside for EXEC. */
  queue(spec: CommandSpec, args: Arguments): void {
    const session = this.#session;
    const refusal = this.#whyNotQueued(spec, args);
    if (refusal !== undefined) {
      this.#spoiled = true;
      session.answerInTurn((out) => out.error(refusal));
      return;
    }
    // After a mistake nothing of it will run.
    if (!this.#spoiled) {
      this.#bytes += bytesOf(args);
      this.#queued?.push({ spec, args: args.map((argument) => argument.slice()) });
    }
    session.answerInTurn((out) => out.queued());
  }

  #whyNotQueued(spec: CommandSpec, args: Arguments): string | undefined {
    if (spec.run.kind === "alone") return NOT_IN_MULTI;
    if ((this.#queued?.length ?? 0) >= RESP_QUEUED_COMMANDS_MAX) {
      return `ERR a transaction may have ${RESP_QUEUED_COMMANDS_MAX} commands`;
    }
    if (this.#bytes + bytesOf(args) > RESP_COMMAND_BYTES_MAX) {
      return `ERR the commands of a transaction may have ${RESP_COMMAND_BYTES_MAX} bytes together`;
    }
    return undefined;
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
    this.#watched = new Map();
    this.#close();
    if (spoiled) {
      session.answerInTurn((out) =>
        out.error("EXECABORT Transaction discarded because of previous errors.")
      );
      return;
    }
    const steps = queued.map(({ spec, args }) => this.#ready(spec, args));
    const keys = new Set([...watched.keys(), ...steps.flatMap(keysOf)]);
    if (keys.size === 0) {
      session.answerInTurn((out) => this.#writeSteps(out, steps, []));
      return;
    }
    const refusal = this.#whyNotTogether(keys);
    if (refusal !== undefined) {
      session.answerInTurn((out) => out.error(refusal));
      return;
    }
    if (steps.some(({ kind }) => kind === "view")) {
      session.runAlone((done) => {
        const run = (view: KeySnapshot) => this.#runSteps(steps, view);
        this.#attempt([...keys], watched, run, 1, (write) => {
          session.answer(write);
          done();
        });
      });
      return;
    }
    session.answerLater((finish) => this.#execTogether(steps, [...keys], watched, finish));
  }

  /** Runs one command that looks before it writes. It must run alone. */
  runView(keys: readonly string[], run: (view: KeyView) => Write, done: () => void): void {
    const session = this.#session;
    const distinct = [...new Set(keys)];
    const refusal = this.#whyNotTogether(distinct);
    if (refusal !== undefined) {
      session.answer((out) => out.error(refusal));
      done();
      return;
    }
    this.#attempt(distinct, new Map(), run, 1, (write) => {
      session.answer(write);
      done();
    });
  }

  #close(): void {
    this.#queued = undefined;
    this.#bytes = 0;
    this.#spoiled = false;
  }

  #ready({ run }: CommandSpec, args: Arguments): Step {
    try {
      switch (run.kind) {
        case "plan": {
          const plan = run.plan(args, this.#session.server);
          return {
            kind: "plan",
            plan,
            requests: "request" in plan ? [plan.request] : plan.requests,
          };
        }
        case "view":
          return { kind: "view", keys: run.keys(args), run: (view) => run.run(args, view) };
        default:
          return { kind: "now", run, args };
      }
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      return { kind: "error", text: thrownText(error) };
    }
  }

  /** @returns the error where the keys are not in one partition */
  #whyNotTogether(keys: Iterable<string>): string | undefined {
    const map = this.#session.server.database.map();
    if (map === undefined) {
      return "CLUSTERDOWN unavailable this node has not joined its cluster yet";
    }
    let first: number | undefined;
    for (const key of keys) {
      const partition = partitionOf(key, map.settings.partitionCount);
      first ??= partition;
      if (partition !== first) return CROSS_SLOT_ERROR;
    }
    return undefined;
  }

  /** All requests as one. */
  #execTogether(
    steps: readonly Step[],
    keys: readonly string[],
    watched: ReadonlyMap<string, number>,
    finish: (write: Write) => void,
  ): void {
    const requests = steps.flatMap((step) => step.kind === "plan" ? step.requests : []);
    // There must be something that is done if the watched keys are as they were.
    if (requests.length === 0) {
      requests.push({ req_type: "exists", key: keys[0] ?? "" });
    }
    this.#transact(requests, [...watched], (reply) => {
      if (isMismatch(reply)) finish((out) => out.nilArray());
      else if (reply.req_type === "error") finish((out) => out.error(errorText(reply)));
      else finish((out) => this.#writeSteps(out, steps, repliesOf(reply)));
    });
  }

  /** Looks at the keys, works out what is to be done, and does it if they have not changed. */
  #attempt(
    keys: readonly string[],
    watched: ReadonlyMap<string, number>,
    run: (view: KeySnapshot) => Write,
    attempt: number,
    finish: (write: Write) => void,
  ): void {
    const { server } = this.#session;
    const gets = keys.map((key): KeyRequest => ({ req_type: "get", key }));
    this.#transact(gets, [], (found) => {
      if (found.req_type === "error") {
        finish((out) => out.error(errorText(found)));
        return;
      }
      const view = new KeySnapshot(keys, repliesOf(found), server.wallMs(), server.valueBytesMax);
      for (const [key, version] of watched) {
        if (view.versionOf(key) === version) continue;
        finish((out) => out.nilArray());
        return;
      }
      let write: Write;
      try {
        write = run(view);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        finish((out) => out.error(error.message));
        return;
      }
      const writes = view.writes();
      if (writes.length === 0) {
        finish(write);
        return;
      }
      this.#transact(writes, view.checks(), (reply) => {
        if (isMismatch(reply) && attempt < RESP_ATTEMPTS_MAX) {
          this.#attempt(keys, watched, run, attempt + 1, finish);
        } else if (reply.req_type === "error") {
          finish((out) => out.error(errorText(reply)));
        } else {
          finish(write);
        }
      });
    });
  }

  #transact(
    requests: readonly KeyRequest[],
    checks: readonly (readonly [string, number])[],
    done: (reply: Reply) => void,
  ): void {
    const key = requests[0]?.key ?? "";
    const request: KeyRequest = { req_type: "transaction", key, requests, checks };
    try {
      this.#session.execute(request, done);
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      done(toErrorReply(toKvError(error)));
    }
  }

  /** All steps on a snapshot. @returns what is answered if it comes true */
  #runSteps(steps: readonly Step[], view: KeySnapshot): Write {
    const writes = steps.map((step): Write => {
      switch (step.kind) {
        case "plan": {
          const replies = step.requests.map((request) => view.apply(request));
          return (out) => writePlan(out, step.plan, replies);
        }
        case "view":
          return this.#runView(step, view);
        case "now":
          return () => this.#session.runInTurn(step.run, step.args);
        case "error":
          return (out) => out.error(step.text);
      }
    });
    return (out) => {
      out.array(writes.length);
      for (const write of writes) write(out);
    };
  }

  #runView(step: Extract<Step, { kind: "view" }>, view: KeySnapshot): Write {
    try {
      return step.run(view);
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      const text = thrownText(error);
      return (out) => out.error(text);
    }
  }

  #writeSteps(out: RespWriter, steps: readonly Step[], replies: readonly Reply[]): void {
    out.array(steps.length);
    let at = 0;
    for (const step of steps) {
      if (step.kind === "error") out.error(step.text);
      else if (step.kind === "now") this.#session.runInTurn(step.run, step.args);
      else if (step.kind === "plan") {
        writePlan(out, step.plan, replies.slice(at, at + step.requests.length));
        at += step.requests.length;
      }
    }
  }
}

function keysOf(step: Step): readonly string[] {
  if (step.kind === "plan") return step.requests.map(({ key }) => key);
  return step.kind === "view" ? step.keys : [];
}

function writePlan(out: RespWriter, plan: Plan, replies: readonly Reply[]): void {
  const [first] = replies;
  if ("requests" in plan) plan.finishAll(out, replies);
  else if (first !== undefined) plan.finish(out, first);
}

function versionOf(reply: Reply | undefined): number {
  return reply?.req_type === "data" ? reply.version ?? 0 : 0;
}

function isMismatch(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "version_mismatch";
}

function repliesOf(reply: Reply): readonly Reply[] {
  return reply.req_type === "result" && Array.isArray(reply.result)
    ? reply.result as readonly Reply[]
    : [];
}

function bytesOf(args: Arguments): number {
  return args.reduce((sum, argument) => sum + argument.length, 0);
}
