import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { checkHeld } from "../../simulation/checkers/acknowledged.ts";
import { shorten, timeline } from "../../simulation/checkers/counter_example.ts";
import { callsOf } from "../../simulation/checkers/history.ts";
import { historyLines } from "../../simulation/checkers/history_export.ts";
import { type HistoryFailure, judgeHistory } from "../../simulation/checkers/judge.ts";
import { historyOf } from "../../support/data/history_text.ts";
import { randomHistory, SPOILS } from "../../support/data/random_history.ts";

const BOUNDS = { replicaMs: 100, cachedMs: 200 };

function failures(text: string): HistoryFailure[] {
  return judgeHistory(historyOf(text), { staleness: BOUNDS }).failures;
}

function checks(text: string): string {
  return failures(text).map(({ check }) => check).join(", ");
}

const WEAK: Record<string, [text: string, found: string]> = {
  "a replica read within its bound": [
    `0-1 write a ok 1
     2-3 write b ok 2
     50-51 read replica a 1`,
    "",
  ],
  "a replica read beyond its bound": [
    `0-1 write a ok 1
     2-3 write b ok 2
     150-151 read replica a 1`,
    "weak reads",
  ],
  "a cached read may be older than a replica's": [
    `0-1 write a ok 1
     2-3 write b ok 2
     150-151 read cached a 1`,
    "",
  ],
  "a cached read beyond its bound": [
    `0-1 write a ok 1
     2-3 write b ok 2
     250-251 read cached a 1`,
    "weak reads",
  ],
  "two replica reads of which the second is older": [
    `0-1 write a ok 1
     2-3 write b ok 2
     10-11 read replica b 2
     12-13 read replica a 1`,
    "",
  ],
  "a replica read of what nobody wrote": [
    `0-1 write a ok 1
     2-3 read replica b 2`,
    "weak reads",
  ],
  "a replica read of a write that was refused": [
    `0-1 write a unavailable
     2-3 read replica a 1`,
    "weak reads",
  ],
  "a replica read of a write that was never committed": [
    `0-1 write a ok 1
     2-3 write b info
     4-5 read replica b 2
     6-7 read a 1`,
    "weak reads",
  ],
  "a replica that forgot a delete for a moment": [
    `0-1 write a ok 1
     2-3 delete ok
     50-51 read replica a 1`,
    "",
  ],
  "a replica that forgot a delete": [
    `0-1 write a ok 1
     2-3 delete ok
     150-151 read replica a 1`,
    "weak reads",
  ],
};

for (const [name, [text, found]] of Object.entries(WEAK)) {
  Deno.test(`judgeHistory of weak reads: ${name}`, () => assertEquals(checks(text), found));
}

Deno.test("judgeHistory lets a write that one disk acknowledged be lost, but not taken back", () => {
  assertEquals(checks("0-1 write primary a ok 1\n2-3 read absent"), "");
  assertEquals(
    checks("0-1 write primary a ok 1\n2-3 read a 1\n4-5 read absent"),
    "linearizability",
  );
  assertEquals(checks("0-1 write primary a unavailable\n2-3 read a 1"), "linearizability");
});

Deno.test("judgeHistory calls it a failure if no verdict is reached", () => {
  const history = randomHistory(new SeededRandom(1), {
    operations: 500,
    processes: 20,
    lostPercent: 20,
  });
  const found = judgeHistory(history, { statesMax: 10 }).failures;
  // With so few states allowed, a dead end on the way is one too many.
  assertEquals(found.map(({ check }) => check), ["undecided"]);
  assertStringIncludes(found[0]?.text ?? "", "no pass");
});

Deno.test("judgeHistory says where only the versions are wrong", () => {
  const [failure] = failures("0-1 write a ok 5\n2-3 write b ok 4\n4-5 read b 4");
  assertStringIncludes(failure?.text ?? "", "what is wrong are the versions");
});

Deno.test("judgeHistory looks at every key and at what is held in the end", () => {
  const history = historyOf("0-1 write a ok 1\n2-3 write b ok 2");
  const held = new Map([["k", { value: "a", version: 1 }]]);
  const { failures, keys, operations } = judgeHistory(history, { held });
  assertEquals({ keys, operations }, { keys: 1, operations: 2 });
  assertEquals(failures.map(({ check }) => check), ["acknowledged writes"]);
});

const HELD: Record<string, [text: string, value: string | null, version: number, wrong: string]> = {
  "the last write": ["0-1 write a ok 1", "a", 1, ""],
  "nothing, and nothing was written": ["0-1 write a info", null, 0, ""],
  "a lost write": ["0-1 write a ok 1", null, 0, "it is gone"],
  "an older write": ["0-1 write a ok 1\n2-3 write b ok 2", "a", 1, "it holds a, version 1"],
  "a write of unknown outcome": ["0-1 write a ok 1\n2-3 write b info", "b", 2, ""],
  "a refused write": ["0-1 write a timeout", "a", 1, "it holds a, which was refused"],
  "what nobody wrote": ["0-1 write a ok 1", "x", 1, "nobody has written"],
  "another version": ["0-1 write a ok 1", "a", 3, "with version 3"],
  "nothing after a delete": ["0-1 write a ok 1\n2-3 delete ok", null, 0, ""],
  "nothing after a delete that was over before": [
    "0-1 write a ok 1\n2-3 delete ok\n4-5 write b ok 3",
    null,
    0,
    "it is gone",
  ],
  "nothing after a write of unknown outcome that expires": [
    "0-1 write a ok 1\n2-3 write for 5 b info",
    null,
    0,
    "",
  ],
  "nothing after a refused write that would have expired": [
    "0-1 write a ok 1\n2-3 write for 5 b timeout",
    null,
    0,
    "it is gone",
  ],
  "a lost write that one disk had": ["0-1 write primary a ok 1", null, 0, ""],
};

for (const [name, [text, value, version, wrong]] of Object.entries(HELD)) {
  Deno.test(`checkHeld: ${name}`, () => {
    const found = checkHeld(historyOf(text).calls(), { value, version });
    if (wrong === "") assertEquals(found, undefined);
    else assertStringIncludes(found ?? "nothing wrong", wrong);
  });
}

Deno.test("shorten leaves the few operations that cannot be explained", () => {
  let lines = "";
  for (let i = 0; i < 200; i++) lines += `${i * 10}-${i * 10 + 3} write v${i} ok ${i + 1}\n`;
  const calls = historyOf(
    lines + "1001-1002 read v90 91\n1991-1992 read v199 200\n1994-1995 read v1 2",
  ).calls();
  const example = shorten(calls);
  assertEquals(example.of, calls.length);
  assert(example.calls.length <= 3, timeline(example.calls));
  assertStringIncludes(timeline(example.calls), "read -> v90, version 91");
});

Deno.test("shorten gives a history that is wrong by itself, for whatever went wrong", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const history = randomHistory(random, { operations: 150, processes: 5, lostPercent: 20 });
    for (const spoil of Object.values(SPOILS)) {
      const events = spoil(history.events, random);
      if (events === undefined) continue;
      const calls = callsOf(events);
      const example = shorten(calls);
      assert(example.calls.length <= calls.length);
    }
  }
});

Deno.test("historyLines writes a register of read, write and cas", () => {
  const history = historyOf(`
    0-1 write a ok 1
    2-3 create b exists
    4-5 read a 1
    6-7 delete ok
    8-9 update c not_found
    10-11 read replica a 1
    12-13 create d info`);
  const lines = historyLines(history).trim().split("\n").map((line) => {
    const { type, f, value } = JSON.parse(line);
    return `${type} ${f} ${JSON.stringify(value)}`;
  });
  assertEquals(lines, [
    'invoke write "a"',
    'ok write "a"',
    'invoke cas [null,"b"]',
    'fail cas [null,"b"]',
    "invoke read null",
    'ok read "a"',
    "invoke write null",
    "ok write null",
    "invoke read null",
    "ok read null",
    'invoke cas [null,"d"]',
    'info cas [null,"d"]',
  ]);
});

Deno.test("shorten leaves out what was before, if it does not matter", () => {
  let lines = "";
  for (let i = 0; i < 100; i++) {
    lines += `${i * 10}-${i * 10 + 3} write v${i} ok ${2 * i + 1}\n${i * 10 + 4}-${
      i * 10 + 5
    } delete ok\n`;
  }
  // With each delete whose outcome was not known, the last read could be explained.
  const calls = historyOf(
    lines + "2000-2001 write w ok 999\n2002-2003 delete timeout\n2004-2005 read absent",
  )
    .calls();
  const example = shorten(calls);
  assertEquals(
    example.calls.map(({ f }) => f),
    ["write", "delete", "read"],
    timeline(example.calls),
  );
});

Deno.test("judgeHistory: what comes after data was given up is not held against what came before", () => {
  // Seven events until then; the update has begun and not ended.
  const text = `0-1 write a ok 1
    2-3 write b ok 2
    4-5 read b 2
    6-9 write c ok 3
    20-21 read absent`;
  const history = historyOf(text);
  const held = new Map([["k", { value: null }]]);
  assertEquals(judgeHistory(history, { held }).failures.length, 2);
  assertEquals(judgeHistory(history, { held, upTo: () => 7 }).failures, []);
  // Before it, everything is judged as ever.
  const lost = historyOf(text.replace("read b 2", "read a 1"));
  assertEquals(judgeHistory(lost, { held, upTo: () => 7 }).failures.length, 1);
});
