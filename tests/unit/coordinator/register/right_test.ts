import { assertEquals } from "@std/assert";
import { Right } from "../../../../coordinator/register/right.ts";
import {
  COORDINATOR_HOLD_MS,
  COORDINATOR_ROUNDS_KEPT,
} from "../../../../shared/limits/membership.ts";
import { at } from "./register_samples.ts";

const isTwo = (folders: ReadonlySet<string>) => folders.size >= 2;

Deno.test("Right: counts from the moment when the question was sent (rule G8)", () => {
  const right = new Right();
  right.begin(1, at(100));
  right.confirm(1, "a", isTwo);
  right.confirm(1, "a", isTwo);
  assertEquals(right.isValid(at(101)), false, "one of them, twice");
  right.confirm(1, "b", isTwo);
  assertEquals(right.isValid(at(100 + COORDINATOR_HOLD_MS - 1)), true);
  assertEquals(right.isValid(at(100 + COORDINATOR_HOLD_MS)), false);
});

Deno.test("Right: answers to an older round do not shorten it, nor do answers of two rounds add up (rule G8)", () => {
  const right = new Right();
  right.begin(1, at(100));
  right.begin(2, at(500));
  right.confirm(1, "a", isTwo);
  right.confirm(2, "b", isTwo);
  assertEquals(right.isValid(at(501)), false);
  right.confirm(2, "a", isTwo);
  right.confirm(1, "b", isTwo);
  assertEquals(right.isValid(at(500 + COORDINATOR_HOLD_MS - 1)), true);
});

Deno.test("Right: ends by the clock that says so first (rule G8)", () => {
  const right = new Right();
  right.begin(1, at(0));
  right.confirm(1, "a", () => true);
  assertEquals(right.isValid({ monotonicMs: 1, wallMs: COORDINATOR_HOLD_MS }), false);
  assertEquals(right.isValid({ monotonicMs: COORDINATOR_HOLD_MS, wallMs: 1 }), false);
  assertEquals(right.isValid({ monotonicMs: 1, wallMs: -5_000 }), true, "the date went back");
});

Deno.test("Right: remembers a bounded number of rounds", () => {
  const right = new Right();
  for (let round = 0; round <= COORDINATOR_ROUNDS_KEPT; round++) right.begin(round, at(round));
  right.confirm(0, "a", () => true);
  assertEquals(right.isValid(at(1)), false);
  right.confirm(1, "a", () => true);
  assertEquals(right.isValid(at(1)), true);
});
