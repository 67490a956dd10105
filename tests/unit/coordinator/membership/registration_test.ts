import { assertEquals } from "@std/assert";
import {
  checkRegistration,
  takeRegistration,
} from "../../../../coordinator/membership/registration.ts";
import { TERM_MAX } from "../../../../shared/limits/cluster.ts";
import {
  EPOCH_JUMP_MAX,
  INCARNATION_JUMP_MAX,
  TERM_JUMP_MAX,
} from "../../../../shared/limits/membership.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { coordinatorState, LATER_MS } from "../../../support/worlds/coordinator_state.ts";

const A = "aaaaaaaaaaaaaaaa";
const B = "bbbbbbbbbbbbbbbb";

function registration(given: Partial<Message<"register">> = {}): Message<"register"> {
  return {
    req_type: "register",
    node: A,
    instance: `i-${A}`,
    incarnation: 1,
    host: `host-${A}`,
    port: 8081,
    http_port: 0,
    zone: A,
    weight: 1,
    held: [],
    ...given,
  };
}

function setUp() {
  const base = coordinatorState({ nodes: [A, B] });
  const take = (session: number, given: Partial<Message<"register">> = {}) =>
    takeRegistration(base.state, base.out, session, registration(given), LATER_MS);
  return { ...base, take };
}

Deno.test("checkRegistration: refuses what is malformed, foreign, older, or another node's connection", () => {
  const { state } = setUp();
  const rows: [Partial<Message<"register">>, string | undefined][] = [
    [{}, undefined],
    [{ instance: "later", incarnation: 2 }, undefined],
    [{ node: "short" }, "bad_request"],
    [{ port: 0 }, "bad_request"],
    [{ weight: 0 }, "bad_request"],
    [{ held: [[99, 1, 1, 0]] }, "bad_request"],
    [{ cluster_id: "other" }, "wrong_cluster"],
    [{ cluster_name: "other" }, "wrong_cluster"],
    [{ incarnation: 0 }, "stale_incarnation"],
    [{ instance: "a copy of it" }, "stale_incarnation"],
  ];
  for (const [given, code] of rows) {
    const refusal = checkRegistration(state, 1, registration(given));
    assertEquals(refusal?.code, code, JSON.stringify(given));
  }
  assertEquals(checkRegistration(state, 2, registration())?.code, "bad_request");
});

Deno.test("checkRegistration: what is further ahead than an honest node can be is refused (rule C12)", () => {
  const { state } = setUp();
  const known = state.members.get(A)?.info.incarnation ?? 0;
  const [epoch, { term }] = [state.published.epoch, state.table.get(0)];
  const rows: [Partial<Message<"register">>, string | undefined][] = [
    [{ instance: "later", incarnation: known + INCARNATION_JUMP_MAX }, undefined],
    [{ instance: "later", incarnation: known + INCARNATION_JUMP_MAX + 1 }, "bad_request"],
    [{ seen_epoch: epoch + EPOCH_JUMP_MAX }, undefined],
    [{ seen_epoch: epoch + EPOCH_JUMP_MAX + 1 }, "bad_request"],
    [{ held: [[0, term + TERM_JUMP_MAX, 1, 0]] }, undefined],
    [{ held: [[1, 0, 1, 0], [0, term + TERM_JUMP_MAX + 1, 1, 0]] }, "bad_request"],
    [{ held: [[0, TERM_MAX, 1, 0]] }, "bad_request"],
    [{ node: B, incarnation: Number.MAX_SAFE_INTEGER }, "bad_request"],
  ];
  for (const [given, code] of rows) {
    const refusal = checkRegistration(state, given.node === B ? 2 : 1, registration(given));
    assertEquals(refusal?.code, code, JSON.stringify(given));
  }
});

Deno.test("takeRegistration: the same process over a new session keeps its roles; the old session goes", () => {
  const { take, state, out } = setUp();
  const member = take(7);
  assertEquals([member.session, member.presence], [7, "live"]);
  assertEquals([out.take().closed, state.sessions.get(7), state.sessions.get(1)], [
    [1],
    A,
    undefined,
  ]);
  assertEquals(state.table.get(0).primary, A);
});

Deno.test("takeRegistration: a later process has none of the roles of the earlier one", () => {
  const { take, state } = setUp();
  const leaseUntilMs = LATER_MS + 900;
  const { members } = state;
  const before = members.get(A);
  if (before !== undefined) before.leaseUntilMs = leaseUntilMs;
  const member = take(7, { instance: "later", incarnation: 2, held: [[0, 1, 9, 0]] });
  const { primary, inSync, term } = state.table.get(0);
  assertEquals([primary, inSync, term], [undefined, [A, B], 2]);
  assertEquals([[...member.stale], member.presence], [[0], "unknown"]);
  assertEquals(member.held.get(0), { term: 1, lastSeq: 9 });
  assertEquals(state.barredUntilMs(0), leaseUntilMs);
});

Deno.test("takeRegistration: what it says is damaged counts, if it is in sync there", () => {
  const { take, state } = setUp();
  assertEquals([...take(7, { held: [[0, 1, 9, 1]] }).damaged], [0]);
  state.reconfigure(0, { primary: B, inSync: [B], learners: [] });
  assertEquals([...take(7, { held: [[0, 1, 9, 1]] }).damaged], []);
});

Deno.test("takeRegistration: a folder that is behind what was synced counts as damaged (rule C8)", () => {
  for (const [batch, damaged] of [[4, [0]], [5, []], [6, []]] as const) {
    const { take, member } = setUp();
    member(A).batch = 5;
    const later = take(7, { instance: "later", incarnation: 2, batch });
    assertEquals([[...later.damaged], later.batch], [[...damaged], batch]);
  }
});

Deno.test("takeRegistration: a new node is on the list and unknown until it is heard of", () => {
  const { take, state } = setUp();
  const node = "cccccccccccccccc";
  const member = take(9, { node, instance: "i", memory: true });
  assertEquals([member.presence, member.memory, state.members.has(node)], ["unknown", true, true]);
  assertEquals([...state.takeNews().nodes], [node]);
});
