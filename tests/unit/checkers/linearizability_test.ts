import { assertEquals } from "@std/assert";
import { checkKey } from "../../simulation/checkers/linearizability.ts";
import { historyOf } from "../../support/data/history_text.ts";

function verdict(text: string): string {
  return checkKey(historyOf(text).calls()).is;
}

const GOOD: Record<string, string> = {
  "nothing at all": "",
  "one after the other": `
    0-1 read absent
    2-3 write a ok 1
    4-5 read a 1
    6-7 delete ok
    8-9 read absent
    10-11 create b ok 7
    12-13 update c ok 8
    14-15 read c 8`,
  "a read beside a write may see it or not": `
    0-1 write a ok 1
    2-9 write b ok 2
    3-4 read a 1
    5-6 read b 2
    7-8 read b 2`,
  "a write whose answer was lost, applied late": `
    0-1 write a ok 1
    2 write b
    3-4 read a 1
    5-6 write c ok 2
    7-8 read c 2
    9-10 read b 3`,
  "a write whose answer was lost, never applied": `
    0-1 write a ok 1
    2-3 write b info
    4-5 read a 1`,
  "many writes of unknown outcome, of which one was applied and overwritten": `
    0-1 write a info
    2-3 write b info
    4-5 delete ok
    6-7 read absent`,
  "a delete of unknown outcome that was applied between two reads": `
    0-1 write a ok 1
    2-3 delete info
    4-5 read a 1
    6-7 read absent
    8-9 create b ok 5`,
  "a delete and a create of unknown outcome, and a change of the version that only they explain": `
    0-1 write a ok 1
    2-3 read a 1
    4-5 delete info
    6-7 create b info
    8-9 cas if 5 c ok 9
    10-11 read c 9`,
  "a value that expires is gone, at some moment and for good": `
    0-1 write for 100 a ok 1
    90-95 read a 1
    96-110 exists no
    120-130 create for 100 b ok 3
    140-150 update c ok 4
    500-510 read c 4`,
  "a value that expires, whose write nobody has seen, may have come and gone": `
    0-1 write a ok 1
    2-3 write for 100 b info
    4-5 read a 1
    200-210 read absent
    220-230 create c ok 9`,
  "refusals that agree": `
    0-1 update a not_found
    2-3 delete not_found
    4-5 create b ok 1
    6-7 create c exists
    8-9 exists yes`,
  "a refused create beside a delete": `
    0-1 write a ok 1
    2-9 delete ok
    3-4 create b exists
    5-6 create c ok 3`,
  "an unknown write made the key present, an unknown delete made it absent": `
    0-1 write a info
    2-3 create b exists
    4-5 delete info
    6-7 create c ok 9
    8-9 read c 9`,
  "conditional writes": `
    0-1 write a ok 1
    2-3 cas if 1 b ok 2
    4-5 cas if 1 c version_mismatch
    6-7 read b 2`,
  "concurrent writes in the order of their versions": `
    0-9 write a ok 2
    1-8 write b ok 1
    10-11 read a 2`,
  "a failed read and a refused write say nothing": `
    0-1 write a ok 1
    2-3 read timeout
    4-5 write b unavailable
    6-7 read a 1`,
};

const BAD: Record<string, string> = {
  "a value that expires too soon": `
    0-1 write for 100 a ok 1
    50-60 read absent`,
  "a value that has expired and is read again": `
    0-1 write for 100 a ok 1
    95-105 read absent
    106-107 read a 1`,
  "a value that does not expire": `
    0-1 write for 100 a ok 1
    110-120 read a 1`,
  "a value that took the place of one that expires, and is gone": `
    0-1 write for 100 a ok 1
    2-3 write b ok 2
    200-210 read absent`,
  "a stale read": `
    0-1 write a ok 1
    2-3 write b ok 2
    4-5 read a 1`,
  "a lost update": `
    0-1 write a ok 1
    2-3 read absent`,
  "a write that came back after it was overwritten": `
    0-1 write a ok 1
    2-3 write b ok 2
    4-5 read b 2
    6-7 read a 1`,
  "a deleted key that came back": `
    0-1 write a ok 1
    2-3 delete ok
    4-5 read absent
    6-7 read a 1`,
  "two primaries: each serves its own": `
    0-1 write a ok 1
    2-3 write b ok 2
    4-9 read b 2
    10-11 write c ok 3
    12-13 read b 2
    14-15 read c 3`,
  "a read that was taken back": `
    0-1 write a ok 1
    2-3 write b info
    4-5 read b 2
    6-7 read a 1`,
  "a write applied twice": `
    0-1 write a info
    2-3 read a 1
    4-5 write b ok 2
    6-7 read a 3`,
  "a refused write that was read": `
    0-1 write a unavailable
    2-3 read a 1`,
  "a value that nobody wrote": `
    0-1 read a 1`,
  "a value from the future": `
    0-1 read a 1
    2-3 write a ok 1`,
  "a version that goes back": `
    0-1 write a ok 5
    2-3 write b ok 4`,
  "a version given twice": `
    0-9 write a ok 5
    1-8 write b ok 5`,
  "a write acknowledged with one version and read with another": `
    0-1 write a ok 5
    2-3 read a 6`,
  "a create that succeeded on a key that was there": `
    0-1 write a ok 1
    2-3 create b ok 2`,
  "two creates that both succeeded": `
    0-9 create a ok 1
    1-8 create b ok 2`,
  "an update that succeeded on a key that was not there": `
    0-1 update a ok 1`,
  "a refused create on a key that was not there": `
    0-1 create a exists`,
  "a refused delete on a key that was there": `
    0-1 write a ok 1
    2-3 delete not_found
    4-5 read a 1`,
  "an unknown write that must have been applied at two times": `
    0-1 write a info
    2-3 create b exists
    4-5 delete ok
    6-7 create c exists`,
  "an unknown write used before it was asked for": `
    0-1 create b exists
    2-3 write a info`,
  "two conditional writes on the same version": `
    0-1 write a ok 1
    2-9 cas if 1 b ok 2
    3-8 cas if 1 c ok 3`,
};

for (const [name, text] of Object.entries(GOOD)) {
  Deno.test(`checkKey accepts: ${name}`, () => {
    assertEquals(verdict(text), "linearizable");
  });
}
for (const [name, text] of Object.entries(BAD)) {
  Deno.test(`checkKey rejects: ${name}`, () => {
    assertEquals(verdict(text), "violation");
  });
}
