/**
 * What clients asked and what they were told, in the order in which it happened: the evidence that
 * the checkers judge. It knows nothing of the cluster.
 *
 * An operation is two events: `invoke`, and one of `ok` (it happened), `fail` (it is known not to have
 * happened; `error` says why) or `info` (nobody knows; it may happen at any later time, or never).
 * A process has one operation under way at a time. Every written value is unique, so that a read
 * tells which write it saw. Times are the simulator's, not those of any process's clock.
 *
 * @module
 */
import { invariant } from "../../../shared/base/errors.ts";
import type { Acks, Consistency } from "../../../shared/wire/messages.ts";

/** What an operation does to its key. `exists` is a read that tells of no value. */
export type OperationName =
  | "read"
  | "exists"
  | "write"
  | "create"
  | "update"
  | "delete"
  | "cas"
  | "increment";

/** What is common to both events of an operation. */
export interface Invocation {
  /** Numbered from 0; a process that had an `info` ends, and its client goes on as another one. */
  readonly process: number;
  readonly f: OperationName;
  readonly key: string;
  /** What is written; null for a delete, and for a read until it is answered. */
  readonly value: string | null;
  readonly time: number;
  /** Of a read; default `strong`. */
  readonly consistency?: Consistency | undefined;
  /** Of a write; default `all`. */
  readonly acks?: Acks | undefined;
  /** Of a `cas`: the version that the key must have. */
  readonly expect?: number | undefined;
  /** Of a write of a value that expires. */
  readonly expiry?: Expiry | undefined;
}

/** When a value ends. */
export interface Expiry {
  /** So long after it was written. */
  readonly afterMs: number;
  /** Dates of two processes differ by so much at most; Infinity if they jump. */
  readonly clocksMs: number;
}

/** One event. The two events of an operation have the same id. */
export interface Operation extends Invocation {
  readonly id: number;
  readonly type: "invoke" | "ok" | "fail" | "info";
  /** Of an acknowledged write, or of the value that was read. */
  readonly version?: number | undefined;
  /** Of `fail` and `info`: the error's code. */
  readonly error?: string | undefined;
}

/** Both events of an operation, as the checkers look at it. */
export interface Call extends Invocation {
  readonly id: number;
  /** The place of its beginning among all events, and of its end; Infinity if it has no end. */
  readonly at: number;
  readonly endAt: number;
  /** `info` also if it has not ended. */
  readonly outcome: "ok" | "fail" | "info";
  /** Infinity if it may still happen. */
  readonly endTime: number;
  readonly version: number | undefined;
  readonly error: string | undefined;
  /** Its value may have expired from this place among the events on; Infinity if it does not expire. */
  readonly mayEndAt: number;
}

/** What was answered. */
export interface Answer {
  readonly time: number;
  /** What a read found: null for no such key. An `exists` that found one has "". */
  readonly value?: string | null | undefined;
  readonly version?: number | undefined;
}

/** Refusals that tell what the key held: as good as a read. */
const OBSERVATIONS: ReadonlySet<string> = new Set(["not_found", "exists", "version_mismatch"]);

/** Whether a refusal tells what its key held. */
export function isTelling(error: string | undefined): boolean {
  return error !== undefined && OBSERVATIONS.has(error);
}

/** Whether a failed call tells what its key held. */
export function isObservation(call: Call): boolean {
  return call.outcome === "fail" && isTelling(call.error);
}

/** Whether the operation only looks. */
export function isReadName(f: OperationName): boolean {
  return f === "read" || f === "exists";
}

/** A history under way. */
export class History {
  readonly events: Operation[] = [];
  /** Operations that ended as `ok`. */
  succeeded = 0;
  readonly #open = new Map<number, Operation>();
  #nextId = 0;
  #nextProcess = 0;

  /** A number for a new process. */
  newProcess(): number {
    return this.#nextProcess++;
  }

  /** An operation begins. @returns its id */
  invoke(call: Invocation): number {
    const id = this.#nextId++;
    const event: Operation = { ...call, id, type: "invoke" };
    this.events.push(event);
    this.#open.set(id, event);
    return id;
  }

  /** It happened. */
  ok(id: number, answer: Answer): void {
    const call = this.#close(id);
    this.succeeded++;
    this.events.push({
      ...call,
      type: "ok",
      time: answer.time,
      value: answer.value === undefined ? call.value : answer.value,
      version: answer.version,
    });
  }

  /** It is known not to have happened. */
  fail(id: number, time: number, error: string): void {
    this.events.push({ ...this.#close(id), type: "fail", time, error });
  }

  /** Nobody knows. */
  info(id: number, time: number, error: string): void {
    this.events.push({ ...this.#close(id), type: "info", time, error });
  }

  /** Operations that have not ended. */
  get openCount(): number {
    return this.#open.size;
  }

  /** All operations, in the order of their beginning. */
  calls(): Call[] {
    return callsOf(this.events);
  }

  /** The operations of each key; keys in the order of their first use. */
  byKey(): Map<string, Call[]> {
    const keys = new Map<string, Call[]>();
    for (const call of this.calls()) {
      const list = keys.get(call.key);
      if (list === undefined) keys.set(call.key, [call]);
      else list.push(call);
    }
    return keys;
  }

  #close(id: number): Operation {
    const call = this.#open.get(id);
    invariant(call !== undefined, "an operation ends once", { id });
    this.#open.delete(id);
    return call;
  }
}

/** The place between the events of before a time and those from it on. */
export function placeOf(events: readonly { readonly time: number }[], time: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.time ?? Infinity) < time) low = middle + 1;
    else high = middle;
  }
  return low - 0.5;
}

/** Joins the two events of each operation. */
export function callsOf(events: readonly Operation[]): Call[] {
  const calls: Call[] = [];
  const places = new Map<number, number>();
  for (const [at, event] of events.entries()) {
    const { id, process, f, key, value, time, consistency, acks, expect, expiry } = event;
    const place = places.get(id);
    if (place === undefined) {
      places.set(id, calls.length);
      calls.push({
        id,
        process,
        f,
        key,
        value,
        time,
        consistency,
        acks,
        expect,
        expiry,
        at,
        endAt: Infinity,
        outcome: "info",
        endTime: Infinity,
        version: undefined,
        error: undefined,
        mayEndAt: expiry === undefined
          ? Infinity
          : Math.max(at, placeOf(events, time + expiry.afterMs - expiry.clocksMs - 2)),
      });
      continue;
    }
    const call = calls[place];
    if (call === undefined || event.type === "invoke") continue;
    const { type: outcome, version, error } = event;
    // That an unknown write was given up says nothing: it may happen later.
    const end = outcome === "info"
      ? { endAt: Infinity, endTime: Infinity }
      : { endAt: at, endTime: time };
    calls[place] = { ...call, ...end, outcome, value, version, error };
  }
  return calls;
}
