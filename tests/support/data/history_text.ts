/**
 * Histories written by hand, for tests of the checkers: one operation a line,
 *
 *     0-10  write a    ok 1
 *     5-20  read       a 1        (found value a, version 1; `absent` for nothing)
 *     7-9   delete     not_found
 *     8     write b    info       (no answer)
 *
 * with options after the name: `replica`, `cached` (for reads), `primary` (acks of writes), `if N` (the version
 * that a cas requires) and `for N` (how long after it was written the value expires, by clocks that agree). Two
 * operations have no moment in common.
 *
 * @module
 */
import { isErrorCode } from "../../../shared/base/errors.ts";
import { History, type Invocation, type OperationName } from "../../simulation/checkers/history.ts";

interface Line {
  readonly begin: number;
  readonly end: number;
  readonly call: Omit<Invocation, "process" | "time">;
  readonly answer: readonly string[];
}

const NAMES = ["read", "exists", "write", "create", "update", "delete", "cas"];

/** The history that the lines tell. */
export function historyOf(text: string, key = "k"): History {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const history = new History();
  const actions: { at: number; run: () => void }[] = [];
  for (const line of lines) {
    const { begin, end, call, answer } = parse(line, key);
    const process = history.newProcess();
    let id = 0;
    actions.push({
      at: begin,
      run: () => {
        id = history.invoke({ ...call, process, time: begin });
      },
    });
    if (end === Infinity) continue;
    actions.push({ at: end, run: () => finish(history, id, end, answer) });
  }
  actions.sort((a, b) => a.at - b.at);
  for (const { run } of actions) run();
  return history;
}

function parse(line: string, key: string): Line {
  const [times = "", ...words] = line.split(/\s+/);
  const [begin = "", end] = times.split("-");
  const name = words.shift() ?? "";
  if (!NAMES.includes(name)) throw new Error(`no such operation: ${line}`);
  const f = name as OperationName;
  let call: Line["call"] = { f, key, value: null };
  for (;;) {
    const [word] = words;
    if (word === "replica" || word === "cached") call = { ...call, consistency: word };
    else if (word === "primary") call = { ...call, acks: "primary" };
    else if (word === "if") {
      words.shift();
      call = { ...call, expect: Number(words[0]) };
    } else if (word === "for") {
      words.shift();
      call = { ...call, expiry: { afterMs: Number(words[0]), clocksMs: 0 } };
    } else break;
    words.shift();
  }
  if (f !== "read" && f !== "exists" && f !== "delete") {
    call = { ...call, value: words.shift() ?? "" };
  }
  return {
    begin: Number(begin),
    end: end === undefined ? Infinity : Number(end),
    call,
    answer: words,
  };
}

function finish(
  history: History,
  id: number,
  time: number,
  [first = "", second]: readonly string[],
): void {
  const version = second === undefined ? undefined : Number(second);
  if (first === "info") history.info(id, time, "outcome_unknown");
  else if (second === undefined && isErrorCode(first)) history.fail(id, time, first);
  else if (first === "ok") history.ok(id, { time, version });
  else history.ok(id, { time, value: first === "absent" ? null : first, version });
}
