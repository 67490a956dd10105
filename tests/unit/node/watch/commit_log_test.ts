/**
 * The log of committed writes, against a list of all of them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { bytesOf, CommitLog } from "../../../../node/watch/commit_log.ts";

function entry(key: string, seq: number, bytes = 1): Entry {
  return {
    key,
    seq,
    term: 1,
    flags: 0,
    timestampMs: 1,
    expiresAtMs: 0,
    value: new Uint8Array(bytes),
  };
}

const ROOM = { entries: 1_000, bytes: 1_000_000 };
const all = () => true;

Deno.test("CommitLog: as a list of everything, within its bounds, and it says what it lacks (rule V2)", () => {
  const random = new SeededRandom(7);
  for (let run = 0; run < 100; run++) {
    const first = randomBelow(random, 5);
    const log = new CommitLog(first, 1 + randomBelow(random, 20), 20_000);
    const written: { entry: Entry; ends: boolean }[] = [];
    for (let seq = first + 1; seq < first + 120; seq++) {
      const ends = randomBelow(random, 3) > 0;
      const one = entry(`k${randomBelow(random, 9)}`, seq, randomBelow(random, 3_000));
      log.push(one, ends);
      written.push({ entry: one, ends });
      if (ends && randomBelow(random, 2) === 0) log.trim();
      const from = first + randomBelow(random, seq - first + 1);
      if (!log.covers(from)) continue;
      const matches = (key: string) => key !== "k3";
      const expected = written.map(({ entry }) => entry)
        .filter(({ key, seq }) => seq > from && matches(key));
      const told = log.since(from, matches, { ...ROOM }, false);
      assertEquals(told.entries.map(({ seq }) => seq), expected.map(({ seq }) => seq));
      assertEquals(told.seq, seq);
      const keys = written.map(({ entry }) => entry).filter(({ seq }) => seq > from);
      assertEquals(log.keysSince(from), keys.map(({ key }) => key));
      const newest = new Map(expected.map(({ key, seq }) => [key, seq]));
      assertEquals(
        log.since(from, matches, { ...ROOM }, true).entries.map(({ seq }) => seq),
        expected.filter(({ key, seq }) => newest.get(key) === seq).map(({ seq }) => seq),
      );
    }
    assert(!log.covers(log.last + 1));
  }
});

Deno.test("CommitLog: an answer ends behind a group that belongs together, and goes on there (rule V6)", () => {
  const log = new CommitLog(0, 100, 1_000_000);
  const ends = [true, false, false, true, true];
  ends.forEach((end, i) => log.push(entry(`k${i}`, i + 1), end));
  const seqs = [];
  for (let at = 0; at < log.last;) {
    const told = log.since(at, all, { entries: 2, bytes: 1_000_000 }, false);
    seqs.push(told.entries.map(({ seq }) => seq));
    at = told.seq;
  }
  assertEquals(seqs, [[1, 2, 3, 4], [5]]);
});

Deno.test("CommitLog: what it takes stays bounded, but the last group is always there", () => {
  const log = new CommitLog(0, 10, 5_000);
  for (let seq = 1; seq < 1_000; seq++) {
    log.push(entry("k", seq, 100), true);
    log.trim();
    assert(log.bytes <= 5_000);
  }
  const large = entry("k", 1_000, 50_000);
  log.push(large, true);
  log.trim();
  assertEquals(log.bytes, bytesOf(large));
  assertEquals(log.since(999, all, { ...ROOM }, false).entries, [large]);
  assert(!log.covers(998));
});

Deno.test("CommitLog: until a position has passed its mark, of each key only the newest (rule V4)", () => {
  const log = new CommitLog(0, 100, 1_000_000);
  ["a", "b", "a", "c"].forEach((key, i) => log.push(entry(key, i + 1), true));
  const told = log.since(0, all, { ...ROOM }, true);
  assertEquals(told.entries.map(({ key, seq }) => [key, seq]), [["b", 2], ["a", 3], ["c", 4]]);
});
