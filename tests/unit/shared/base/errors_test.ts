import { assertEquals, assertThrows } from "@std/assert";
import {
  failureOf,
  InvariantError,
  isDamage,
  isDefect,
  KvError,
} from "../../../../shared/base/errors.ts";

const DEFECTS = [
  new InvariantError("a"),
  new TypeError("b"),
  new RangeError("c"),
  new ReferenceError("d"),
  new SyntaxError("e"),
];

Deno.test("failureOf: a defect is thrown again, so that nobody goes on with what it left behind", () => {
  for (const defect of DEFECTS) {
    assertEquals(isDefect(defect), true, defect.name);
    assertEquals(assertThrows(() => failureOf(defect)), defect);
  }
});

Deno.test("failureOf: what may go wrong has a code", () => {
  const full = new KvError("storage_failed", "the disk is full");
  assertEquals(failureOf(full), full);
  const unknown = new Error("a library says no");
  const failure = failureOf(unknown);
  assertEquals([failure.code, failure.message, failure.cause], [
    "internal",
    "a library says no",
    unknown,
  ]);
  assertEquals(failureOf("a text").message, "a text");
});

Deno.test("isDamage: only what reading again cannot mend", () => {
  assertEquals(isDamage(new KvError("corrupt", "a checksum is wrong")), true);
  assertEquals(isDamage(new KvError("storage_failed", "the database is being opened")), false);
  assertEquals(isDamage(new Error("corrupt")), false);
});
