/**
 * A history as JSON lines in the form of Jepsen's, so that others' tools can check it: a register of
 * `read`, `write` and `cas` for each key.
 *
 * What such a register does not have is said in its words: a `delete` writes null; a `create` is a
 * `cas` from null; an `update` writes; a refused `update` or `delete` has read null. `op` says what it
 * really was. An `increment` is an `add` of 1, whose `ok` has the sum; a `cas` by version has that as
 * `expect`. A value that expires has `ttl`, and `clocks`, by how much dates of two processes may
 * differ: it may read null from its end on, give or take that. Left out is what is no such register's:
 * `exists`, weak reads, and keys that were written with `acks: "primary"`.
 *
 * @module
 */
import {
  type Call,
  type History,
  isObservation,
  type Operation,
  type OperationName,
} from "./history.ts";
import { isWeak } from "./weak_reads.ts";

/** The history, one event a line. Times are in milliseconds. */
export function historyLines(history: History): string {
  const calls = new Map<number, Call>();
  const loose = new Set<string>();
  for (const call of history.calls()) {
    calls.set(call.id, call);
    if (call.acks === "primary") loose.add(call.key);
  }
  let lines = "";
  for (const event of history.events) {
    const call = calls.get(event.id);
    if (call === undefined || call.f === "exists" || isWeak(call) || loose.has(call.key)) continue;
    lines += JSON.stringify(lineOf(event, call)) + "\n";
  }
  return lines;
}

/** What is no plain write. */
const FORMS: Partial<Record<OperationName, string>> = {
  read: "read",
  cas: "cas",
  create: "cas",
  increment: "add",
};

function lineOf(event: Operation, call: Call): Record<string, unknown> {
  const { process, key, time } = event;
  const op = call.f;
  if (isObservation(call) && call.error === "not_found") {
    const type = event.type === "fail" ? "ok" : event.type;
    return { process, type, f: "read", key, value: null, time, op };
  }
  const { type, value, version, error, expect, expiry } = event;
  const line = {
    process,
    type,
    f: FORMS[op] ?? "write",
    key,
    value: op === "create" ? [null, value] : op === "increment" ? value ?? 1 : value,
    time,
    op,
    ...(expect === undefined ? {} : { expect }),
    ...(expiry === undefined ? {} : { ttl: expiry.afterMs, clocks: expiry.clocksMs }),
  };
  return {
    ...line,
    ...(version === undefined ? {} : { version }),
    ...(error === undefined ? {} : { error }),
  };
}
