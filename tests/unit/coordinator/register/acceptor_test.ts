import { assertEquals } from "@std/assert";
import { Acceptor } from "../../../../coordinator/register/acceptor.ts";
import type { Differences } from "../../../../coordinator/register/register.ts";
import {
  COORDINATOR_HOLD_MS,
  COORDINATOR_PROMISE_BAR_MS,
} from "../../../../shared/limits/membership.ts";
import { document, generation, stamp } from "./register_samples.ts";

const APPEND: Differences<string> = {
  between: (base, next) => next.startsWith(base) ? next.slice(base.length) : undefined,
  apply: (base, difference) => base + String(difference),
};

function acceptor(afterStart = false): Acceptor<string> {
  const accepted = { stamp: stamp(1, 4), document: document("four") };
  return new Acceptor({ promised: generation(1), accepted }, APPEND, 0, afterStart);
}

function promise(of: Acceptor<string>, number: number, id = "b", nowMs = 0, has = stamp(1, 4)) {
  return of.promise({ type: "promise", round: 7, generation: generation(number, id), has }, nowMs);
}

function accept(of: Acceptor<string>, number: number, revision: number, nowMs = 0) {
  const change = { whole: document(`${number}.${revision}`) };
  return of.accept({ type: "accept", round: 8, stamp: stamp(number, revision), change }, nowMs);
}

function confirm(of: Acceptor<string>, number: number, nowMs = 0, id = "a") {
  return of.confirm({
    type: "confirm",
    round: 9,
    generation: generation(number, id),
    chosen: undefined,
    starts: [],
  }, nowMs);
}

Deno.test("Acceptor.promise: a promise never falls, and may be repeated (rule G1)", () => {
  const one = acceptor();
  assertEquals(promise(one, 3)?.type, "promised");
  assertEquals(promise(one, 3)?.type, "promised");
  assertEquals(promise(one, 2), { type: "refused", round: 7, highest: generation(3, "b") });
  assertEquals(promise(one, 3, "a")?.type, "refused", "the run decides between equal numbers");
  assertEquals(one.promised, generation(3, "b"));
});

Deno.test("Acceptor.promise: tells its document if it is newer than that of whoever asks (rule G4)", () => {
  const newest = { stamp: stamp(1, 4), document: document("four") };
  const told = promise(acceptor(), 2, "b", 0, stamp(1, 3));
  assertEquals(told, { type: "promised", round: 7, generation: generation(2, "b"), newest });
  const known = promise(acceptor(), 2, "b", 0, stamp(1, 4));
  assertEquals(known.type === "promised" && known.newest, undefined);
});

Deno.test("Acceptor.accept: nothing below the promise, nothing older than it has (rule G2)", () => {
  const one = acceptor();
  promise(one, 3);
  assertEquals(accept(one, 2, 5)?.type, "refused");
  assertEquals(accept(one, 4, 5)?.type, "accepted");
  assertEquals(accept(one, 4, 7)?.type, "accepted");
  assertEquals(accept(one, 4, 6), undefined, "a late one");
  assertEquals(accept(one, 4, 7)?.type, "accepted", "a doubled one");
  assertEquals(one.accepted?.document.body, "4.7");
  assertEquals(one.promised, generation(4), "an accepted generation is promised");
});

Deno.test("Acceptor.accept: a difference counts only from the document that it was made from", () => {
  const one = acceptor();
  const { set } = document("");
  const change = { base: stamp(1, 4), set, difference: "+five" };
  const taken = one.accept({ type: "accept", round: 1, stamp: stamp(2, 5), change }, 0);
  assertEquals([taken?.type, one.accepted?.document.body], ["accepted", "four+five"]);
  const wrong = one.accept({ type: "accept", round: 2, stamp: stamp(2, 6), change }, 0);
  assertEquals([wrong?.type, one.accepted?.stamp], ["need_whole", stamp(2, 5)]);
  const same = { base: stamp(2, 5), set, difference: undefined };
  one.accept({ type: "accept", round: 3, stamp: stamp(3, 5), change: same }, 0);
  assertEquals(one.accepted, { stamp: stamp(3, 5), document: document("four+five") });
});

Deno.test("Acceptor.confirm: no promise while the right may run, by the slowest clock (rule G7)", () => {
  const one = acceptor();
  assertEquals(confirm(one, 2, 100).type, "confirmed");
  assertEquals(promise(one, 3, "b", 100 + COORDINATOR_PROMISE_BAR_MS - 1).type, "held");
  assertEquals(promise(one, 3, "b", 100 + COORDINATOR_PROMISE_BAR_MS).type, "promised");
  assertEquals(confirm(one, 2, 2_000).type, "refused", "a higher generation is promised");
});

Deno.test("Acceptor.accept: holds promises back as a confirmation does (rule G7)", () => {
  const one = acceptor();
  accept(one, 2, 5, 100);
  assertEquals(promise(one, 3, "b", 100 + COORDINATOR_PROMISE_BAR_MS - 1).type, "held");
});

Deno.test("Acceptor: after a start, nothing is promised to anybody for as long (rule G7)", () => {
  const one = acceptor(true);
  assertEquals(promise(one, 2, "b", COORDINATOR_PROMISE_BAR_MS - 1).type, "held");
  confirm(one, 2, 10);
  one.hold.release(generation(2));
  assertEquals(
    promise(one, 3, "b", COORDINATOR_PROMISE_BAR_MS - 1).type,
    "held",
    "a release of another",
  );
  assertEquals(promise(one, 3, "b", COORDINATOR_PROMISE_BAR_MS).type, "promised");
});

Deno.test("Hold.release: ends the hold of that generation alone (rule G7)", () => {
  const one = acceptor();
  confirm(one, 2);
  one.hold.release(generation(1));
  assertEquals(promise(one, 3).type, "held");
  one.hold.release(generation(2));
  assertEquals(promise(one, 3).type, "promised");
});

Deno.test("Acceptor.inquire: changes nothing, and knows whether the active one is lost (rule G6)", () => {
  const one = acceptor();
  confirm(one, 5);
  const ask = (nowMs: number, run = "run-b") =>
    one.inquire({ type: "inquire", round: 1 }, run, nowMs);
  assertEquals(ask(1), { type: "inquired", round: 1, lost: false, highest: generation(5) });
  const lost = COORDINATOR_PROMISE_BAR_MS;
  assertEquals(ask(lost), { type: "inquired", round: 1, lost: true, highest: generation(5) });
  assertEquals(one.promised, generation(1));
  promise(one, 6, "b", lost);
  assertEquals(ask(lost + 1, "run-c").type === "inquired", true);
  const other = one.inquire({ type: "inquire", round: 1 }, "run-c", lost + 1);
  assertEquals(other.type === "inquired" && other.lost, false, "b has a while to come through");
  const later = one.inquire({ type: "inquire", round: 1 }, "run-c", lost + COORDINATOR_HOLD_MS);
  assertEquals(later.type === "inquired" && later.lost, true);
});
