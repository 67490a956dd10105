import { assert, assertEquals, assertThrows } from "@std/assert";
import { RegisterMember } from "../../../../coordinator/register/register_member.ts";
import type { Answer, Envelope, Question } from "../../../../coordinator/register/messages.ts";
import { WHOLE_DOCUMENTS } from "../../../../coordinator/register/register.ts";
import type { RegisterReady } from "../../../../coordinator/register/register_ready.ts";
import {
  blankRecord,
  firstRecord,
  type RegisterRecord,
} from "../../../../coordinator/register/register_record.ts";
import { setOf } from "../../../../coordinator/register/coordinator_set.ts";
import type { CoordinatorMember } from "../../../../coordinator/register/coordinator_set.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  COORDINATOR_HOLD_MS,
  COORDINATOR_PROMISE_BAR_MS,
  COORDINATOR_RESEND_MS,
} from "../../../../shared/limits/membership.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { A, at, B, C, D, document, E, generation, sender, stamp } from "./register_samples.ts";

/** One coordinator, c of a, b and c, whose others are played by the test. */
class Stage {
  readonly member: RegisterMember<string>;
  nowMs = 0;
  sent: Envelope<string>[] = [];
  record: RegisterRecord<string> | undefined;
  ready: RegisterReady<string> | undefined;

  constructor(record: RegisterRecord<string> = recordOf(C), address = C.address) {
    const random = new SeededRandom(1);
    const options = { record, address, random, differences: WHOLE_DOCUMENTS };
    this.member = new RegisterMember<string>(options, at(0));
  }

  step(input: Parameters<RegisterMember<string>["step"]>[0]): RegisterReady<string> {
    const ready = this.ready = this.member.step(input, at(this.nowMs));
    this.sent.push(...ready.messages.map(({ envelope }) => envelope));
    this.record = ready.record ?? this.record;
    return ready;
  }

  tick(nowMs = this.nowMs): RegisterReady<string> {
    this.nowMs = nowMs;
    return this.step({ type: "tick" });
  }

  /** The disk is done with what it was given. */
  synced(): RegisterReady<string> {
    return this.step({ type: "persisted" });
  }

  /** It has started, and the others know of no later start. */
  started(): this {
    this.tick();
    this.synced();
    this.tick();
    this.hears(A, { type: "welcome", newer: undefined });
    this.hears(B, { type: "welcome", newer: undefined });
    // The starts of the others go to its disk as well.
    this.synced();
    this.synced();
    this.take();
    return this;
  }

  hears(
    from: CoordinatorMember,
    body: Question<string> | Answer<string>,
    more: Parameters<typeof sender>[1] = {},
  ): RegisterReady<string> {
    const isAnswer = !["hello", "inquire", "promise", "accept", "confirm", "release"].includes(
      body.type,
    );
    const toRun = isAnswer ? this.member.run : undefined;
    const envelope = { from: sender(from, more), to: this.member.member.folder, toRun, body };
    return this.step({ type: "message", envelope });
  }

  take(): string[] {
    return this.sent.splice(0).map(({ to, body }) => `${to?.slice(2) ?? "?"} ${body.type}`);
  }

  /** It is active with generation 2, from the document 1.4. */
  activated(): this {
    this.started();
    this.tick(COORDINATOR_PROMISE_BAR_MS + 1);
    assertEquals(this.take().filter((line) => line.endsWith("inquire")), [
      "a inquire",
      "b inquire",
    ]);
    this.hears(A, { type: "inquired", round: 1, lost: true, highest: generation(1) });
    this.synced();
    this.hears(A, { type: "promised", round: 1, generation: this.generation, newest: undefined });
    this.synced();
    this.hears(A, { type: "accepted", round: 2, stamp: this.stamp(4) });
    this.take();
    return this;
  }

  get generation() {
    return { number: 2, coordinator: "c", run: this.member.run };
  }

  stamp(revision: number) {
    return { generation: this.generation, revision };
  }
}

function recordOf(member: CoordinatorMember): RegisterRecord<string> {
  return {
    ...blankRecord<string>(member.id, member.folder),
    start: 4,
    writes: 20,
    promised: generation(1),
    accepted: { stamp: stamp(1, 4), document: document("four") },
  };
}

const PROMISE = {
  type: "promise",
  round: 7,
  generation: generation(2, "b"),
  has: stamp(1, 4),
} as const;

Deno.test("RegisterMember: a promise is told when it is on disk (rule G3)", () => {
  const c = new Stage().started();
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  c.hears(B, PROMISE);
  assertEquals(c.take(), []);
  assertEquals(c.record?.promised, PROMISE.generation);
  c.synced();
  assertEquals(c.take(), ["b promised"]);
});

Deno.test("RegisterMember: while its disk refuses, it promises nothing and says so (rule G3)", () => {
  const c = new Stage().started();
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  c.hears(B, PROMISE);
  const ready = c.step({ type: "persist_failed", error: new KvError("storage_failed", "full") });
  assertEquals(ready.log.map(({ level }) => level), ["error"]);
  assertEquals([c.take(), ready.record], [[], undefined]);
  assertEquals(c.tick(c.nowMs + 999).record, undefined);
  assertEquals(c.tick(c.nowMs + 1).record?.promised, PROMISE.generation);
  c.synced();
  assertEquals(c.take().filter((line) => line.endsWith("promised")), ["b promised"]);
});

Deno.test("RegisterMember: says nothing before its start is on disk, and takes part when it is known (rule G11)", () => {
  const c = new Stage();
  assertEquals(c.tick().record?.start, 5);
  c.hears(A, { type: "hello" });
  assertEquals(c.take(), []);
  c.synced();
  c.tick();
  assertEquals(c.take(), ["? hello", "? hello"]);
  const accept = {
    type: "accept",
    round: 1,
    stamp: stamp(1, 5),
    change: { whole: document("five") },
  } as const;
  c.hears(A, accept);
  c.synced();
  assertEquals([c.take(), c.member.role], [[], "starting"]);
  c.hears(A, { type: "welcome", newer: undefined });
  assertEquals(c.member.role, "starting", "one of them has not been heard");
  c.tick(COORDINATOR_PROMISE_BAR_MS + 1);
  assertEquals(
    c.member.role,
    "standby",
    "a majority, after the time that the other would have had",
  );
  c.take();
  c.hears(A, accept);
  c.synced();
  assertEquals(c.take(), ["a accepted"]);
});

Deno.test("RegisterMember: a majority of a newer set that it is told of lets it take part as well (rule G11)", () => {
  const c = new Stage();
  c.tick();
  c.synced();
  c.tick();
  c.take();
  const newer = { stamp: stamp(2, 9), set: setOf(C, D, E) };
  const confirm = {
    type: "confirm",
    round: 1,
    generation: generation(2),
    chosen: undefined,
    starts: [],
  } as const;
  c.hears(D, confirm, { at: newer.stamp });
  assertEquals(c.take(), ["d hello"], "nobody has named it yet");
  c.hears(D, { type: "welcome", newer: { ...newer, stamp: stamp(1, 3) } }, { at: newer.stamp });
  c.tick(COORDINATOR_PROMISE_BAR_MS + 1);
  assertEquals(c.member.role, "starting", "an older set than its own says nothing");
  c.take();
  c.hears(D, { type: "welcome", newer }, { at: newer.stamp });
  assertEquals(c.member.role, "standby");
});

Deno.test("RegisterMember: asks all of a newer set after a start, and takes no part before its hold is over (rule G11)", () => {
  const c = new Stage();
  c.tick();
  c.synced();
  const newer = { stamp: stamp(2, 9), set: setOf(A, C, D, E) };
  c.hears(A, { type: "welcome", newer });
  c.hears(E, { type: "welcome", newer }, { at: newer.stamp });
  assertEquals(c.member.role, "starting");
  c.take();
  c.tick(COORDINATOR_RESEND_MS);
  assertEquals(c.take(), ["? hello", "? hello"], "b and d");
  c.tick(COORDINATOR_PROMISE_BAR_MS + 1);
  assertEquals(c.member.role, "standby");
});

Deno.test("RegisterMember: tells its set to one that starts with an older document (rule G11)", () => {
  const c = new Stage().started();
  const newers = [stamp(1, 3), stamp(1, 4)].map((documentAt) => {
    c.hears(B, { type: "hello" }, { at: documentAt });
    const body = c.sent.splice(0).at(-1)?.body;
    return body?.type === "welcome" ? body.newer : body;
  });
  assertEquals(newers, [{ stamp: stamp(1, 4), set: document("four").set }, undefined]);
});

Deno.test("RegisterMember: an old copy of a folder begins anew, as a stranger (rule G11)", () => {
  const c = new Stage();
  c.tick();
  c.synced();
  const known = { folder: C.folder, start: 9, run: "later", writes: 90 };
  const { log, record } = c.hears(A, { type: "old_copy", known });
  assertEquals(log.map(({ level }) => level), ["error"]);
  assert(record !== undefined && record.folder !== C.folder);
  assertEquals([record.accepted, record.promised, c.member.role], [
    undefined,
    undefined,
    "stranger",
  ]);
});

Deno.test("RegisterMember: one that begins anew asks who speaks to its former folder, though it knew nothing of that one (rule G12)", () => {
  const c = new Stage();
  c.tick();
  c.synced();
  const known = { folder: C.folder, start: 9, run: "later", writes: 90 };
  c.hears(A, { type: "old_copy", known });
  c.synced();
  c.synced();
  const toFormer = (from: CoordinatorMember) => ({
    from: sender(from),
    to: C.folder,
    toRun: undefined,
    body: {
      type: "confirm",
      round: 1,
      generation: generation(5, "d"),
      chosen: undefined,
      starts: [],
    },
  } as const);
  const { messages } = c.step({ type: "message", envelope: toFormer(D) });
  assertEquals(messages.map(({ address, envelope }) => [address, envelope.body.type]), [
    [D.address, "hello"],
  ]);
  // Whoever has its place says nothing to others' mail.
  const seated = new Stage().started();
  const quiet = seated.step({
    type: "message",
    envelope: { ...toFormer(D), to: "an earlier folder" },
  });
  assertEquals(quiet.messages, []);
});

Deno.test("RegisterMember: tells an old copy that it is one, and does nothing that it asks for (rule G11)", () => {
  const c = new Stage().started();
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  c.hears(B, PROMISE, { start: 3, run: "b3", writes: 30 });
  c.synced();
  assertEquals(c.take(), ["b promised"]);
  const { record } = c.hears(B, PROMISE, { start: 4, run: "b4", writes: 30 });
  assertEquals([c.take(), record], [["b old_copy"], undefined]);
});

Deno.test("RegisterMember: knows an old copy by what the active one has passed on (rule G11)", () => {
  const c = new Stage().started();
  c.hears(A, {
    type: "confirm",
    round: 1,
    generation: generation(1),
    chosen: undefined,
    starts: [{ folder: B.folder, start: 6, run: "b6", writes: 50 }],
  });
  c.take();
  c.hears(B, { type: "hello" }, { start: 7, run: "b7", writes: 50 });
  assertEquals(c.take(), ["b old_copy"]);
  c.hears(B, { type: "hello" }, { start: 7, run: "b7", writes: 51 });
  c.synced();
  assertEquals(c.take(), ["b welcome"]);
});

Deno.test("RegisterMember: an answer to an earlier process is not for this one (rule G11)", () => {
  const c = new Stage().started();
  const known = { folder: C.folder, start: 9, run: "later", writes: 90 };
  const envelope = {
    from: sender(A),
    to: C.folder,
    toRun: "an earlier run",
    body: { type: "old_copy", known },
  } as const;
  c.step({ type: "message", envelope });
  assertEquals(c.member.role, "standby");
});

Deno.test("RegisterMember: what is for another folder is not for this one (rule G11)", () => {
  const c = new Stage().started();
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  for (const to of ["f-c-before", undefined]) {
    const envelope = { from: sender(B), to, toRun: undefined, body: PROMISE };
    assertEquals(c.step({ type: "message", envelope }).record, undefined);
  }
  const { messages } = c.step({
    type: "message",
    envelope: { from: sender(B), to: undefined, toRun: undefined, body: { type: "hello" } },
  });
  assertEquals(messages.map(({ envelope }) => envelope.body.type), ["welcome"]);
});

Deno.test("RegisterMember: one that was removed says so, writes it down, and takes no part any more (rule G12)", () => {
  const c = new Stage().started();
  const set = setOf(A, B);
  c.hears(A, { type: "not_member", stamp: stamp(1, 3), set });
  assertEquals(c.member.role, "standby", "an older document than its own");
  const { log, record } = c.hears(A, { type: "not_member", stamp: stamp(1, 6), set });
  assertEquals([c.member.role, record?.removedBy], ["removed", stamp(1, 6)]);
  assertEquals(log.map(({ level }) => level), ["error"]);
  c.synced();
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  c.hears(B, PROMISE);
  assertEquals(c.take(), []);
  assert(record !== undefined);
  const again = new Stage(record);
  again.tick();
  again.synced();
  again.tick(60_000);
  assertEquals([again.member.role, again.take()], ["removed", []]);
  const accept = (revision: number, body = document("wanted")) =>
    ({ type: "accept", round: 1, stamp: stamp(1, revision), change: { whole: body } }) as const;
  again.hears(A, accept(6));
  again.hears(A, accept(7, document("without", set)));
  assertEquals(again.member.role, "removed");
  again.hears(A, accept(7));
  assertEquals(again.member.role, "starting", "an operator wants it back");
});

Deno.test("RegisterMember: tells one that is not in a newer set that it is none (rule G12)", () => {
  const c = new Stage().started();
  const stranger = { ...A, id: "z", folder: "f-z" };
  c.hears(stranger, PROMISE, { at: stamp(1, 2) });
  assertEquals(c.take(), ["z not_member"]);
  c.nowMs = COORDINATOR_PROMISE_BAR_MS + 1;
  c.hears(stranger, { ...PROMISE, generation: generation(5, "z") }, { at: stamp(2, 5) });
  c.synced();
  assertEquals(c.take(), ["z promised"], "its document is newer, and may name it");
});

Deno.test("RegisterMember: a change is told when a majority has it, and each follows from the last (rule G5)", () => {
  const c = new Stage().activated();
  assertEquals(c.member.role, "active");
  c.step({ type: "compare_and_set", token: 1, expected: c.stamp(4), body: "five" });
  const { outcomes: [second] } = c.step({
    type: "compare_and_set",
    token: 2,
    expected: c.stamp(4),
    body: "other",
  });
  assertEquals(second, [2, { type: "changed" }]);
  assertEquals(c.take(), ["a accept", "b accept"]);
  c.synced();
  const { outcomes, chosen } = c.hears(B, { type: "accepted", round: 3, stamp: c.stamp(5) });
  assertEquals(outcomes, [[1, { type: "chosen", stamp: c.stamp(5) }]]);
  assertEquals(chosen?.document.body, "five");
  const { outcomes: late } = c.step({
    type: "compare_and_set",
    token: 3,
    expected: c.stamp(4),
    body: "other",
  });
  assertEquals(late, [[3, { type: "changed" }]]);
});

Deno.test("RegisterMember: the right runs from the sending, ends by itself, and comes back (rule G8)", () => {
  const c = new Stage().activated();
  const sentMs = c.nowMs;
  assertEquals(c.member.hasRight(at(sentMs + COORDINATOR_HOLD_MS - 1)), true);
  assertEquals(c.member.hasRight(at(sentMs + COORDINATOR_HOLD_MS)), false);
  c.tick(sentMs + COORDINATOR_HOLD_MS);
  const asked = c.sent.find(({ body }) => body.type === "confirm")?.body;
  assert(asked?.type === "confirm");
  assertEquals([c.member.role, c.member.hasRight(at(c.nowMs))], ["active", false]);
  c.nowMs += 100;
  c.hears(B, { type: "confirmed", round: asked.round, generation: c.generation });
  assertEquals(c.member.hasRight(at(sentMs + 2 * COORDINATOR_HOLD_MS - 1)), true);
  assertEquals(c.member.hasRight(at(sentMs + 2 * COORDINATOR_HOLD_MS)), false);
});

Deno.test("RegisterMember: stands down at once when it is refused, and nobody knows of its change (rule G14)", () => {
  const c = new Stage().activated();
  c.step({ type: "compare_and_set", token: 1, expected: c.stamp(4), body: "five" });
  const below = { type: "refused", round: 3, highest: generation(1, "b") } as const;
  assertEquals(c.hears(B, below).lost, undefined);
  const { lost, outcomes } = c.hears(B, { ...below, highest: generation(3, "b") });
  assertEquals(lost, "generation 3 of b is promised");
  assertEquals(outcomes, [[1, { type: "lost" }]]);
  assertEquals([c.member.role, c.member.hasRight(at(c.nowMs))], ["standby", false]);
});

Deno.test("RegisterMember: begins only with the right, although a majority has its document (rule G4)", () => {
  const c = new Stage().started();
  c.tick(COORDINATOR_PROMISE_BAR_MS + 1);
  c.hears(A, { type: "inquired", round: 1, lost: true, highest: generation(1) });
  c.synced();
  c.hears(A, { type: "promised", round: 1, generation: c.generation, newest: undefined });
  c.synced();
  c.nowMs += COORDINATOR_HOLD_MS;
  const { held } = c.hears(A, { type: "accepted", round: 2, stamp: c.stamp(4) });
  assertEquals([held, c.member.role], [undefined, "candidate"]);
});

Deno.test("RegisterMember: only the active one takes an order for other coordinators", () => {
  const c = new Stage().started();
  const error = assertThrows(() => c.step({ type: "want", voters: [A] }), KvError);
  assertEquals(error.code, "unavailable");
});

Deno.test("RegisterMember: the first of a cluster is active as soon as its disk is (rule G7)", () => {
  const one = new Stage(firstRecord(C, "first"));
  one.tick();
  one.synced();
  one.tick();
  one.synced();
  const { held } = one.synced();
  assertEquals([held?.document.body, one.nowMs, one.member.role], ["first", 0, "active"]);
});
