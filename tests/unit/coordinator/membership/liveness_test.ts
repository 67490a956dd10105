import { assertEquals } from "@std/assert";
import { Liveness, NOBODY_REGISTERED } from "../../../../coordinator/membership/liveness.ts";
import {
  CLOCK_DRIFT_MAX,
  HEARD_INTERVALS_MAX,
  NODE_SEARCH_MS,
} from "../../../../shared/limits/membership.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { coordinatorState, LATER_MS, START_MS } from "../../../support/worlds/coordinator_state.ts";

function setUp() {
  const base = coordinatorState({ epoch: 5 });
  const liveness = new Liveness(base.state, base.out, START_MS);
  const beat = (given: Partial<Message<"heartbeat">> = {}): Message<"heartbeat"> => ({
    req_type: "heartbeat",
    node: "a",
    instance: "i-a",
    incarnation: 1,
    sent: 1,
    epoch: 5,
    map: 5,
    heard: LATER_MS,
    unserved: 0,
    ...given,
  });
  return { ...base, liveness, beat };
}

Deno.test("Liveness.senderOf: only the process that is known", () => {
  const { liveness, beat } = setUp();
  assertEquals(liveness.senderOf(beat())?.id, "a");
  for (const other of [{ node: "x" }, { instance: "i2" }, { incarnation: 2 }]) {
    assertEquals(liveness.senderOf(beat(other)), undefined);
  }
});

Deno.test("Liveness.hear: a node that hears is live and has a lease, counted here with the drift", () => {
  const { liveness, beat, member, state } = setUp();
  const a = member("a");
  a.presence = "unknown";
  a.lastSeenMs = 0;
  assertEquals(liveness.hear(a, beat({ unserved: 3, batch: 9 }), LATER_MS), true);
  assertEquals([a.presence, a.lastSeenMs, a.unserved, a.batch], ["live", LATER_MS, 3, 9]);
  assertEquals(a.leaseUntilMs, LATER_MS + state.settings.leaseMs * (1 + CLOCK_DRIFT_MAX));
  assertEquals([...state.takeNews().nodes], ["a"]);
  const { lease, epoch, at } = liveness.acknowledge(a, beat(), true, LATER_MS);
  assertEquals([lease, epoch, at], [true, 5, LATER_MS]);
});

Deno.test("Liveness.hear: a node that does not hear what it is told has no lease", () => {
  const boundMs = HEARD_INTERVALS_MAX * 500;
  const rows: [string, Partial<Message<"heartbeat">>, string][] = [
    ["too long ago", { heard: LATER_MS - boundMs - 1 }, "nothing gets through"],
    ["never", {}, "nothing gets through"],
    ["by an earlier coordinator", { heard: LATER_MS + 1 }, "nothing gets through"],
    ["an old map", { map: 4 }, "it has map 4"],
  ];
  for (const [name, given, why] of rows) {
    const { liveness, beat, member } = setUp();
    const a = member("a");
    a.owedEpoch = 5;
    a.owedMs = LATER_MS - boundMs - 1;
    const message = beat(given);
    if (name === "never") delete (message as { heard?: number }).heard;
    liveness.hear(a, message, LATER_MS);
    assertEquals(a.deafness?.startsWith(why), true, `${name}: ${a.deafness}`);
    assertEquals(liveness.acknowledge(a, message, true, LATER_MS).lease, false, name);
  }
});

Deno.test("Liveness.hear: without a session a live node is deaf, and another one not registered", () => {
  const { liveness, beat, member } = setUp();
  const a = member("a");
  a.session = undefined;
  assertEquals(liveness.hear(a, beat(), LATER_MS), true);
  assertEquals(a.deafness, "it has no connection to the TCP port");
  a.presence = "unknown";
  assertEquals(liveness.hear(a, beat(), LATER_MS), false);
  a.presence = "down";
  a.session = 1;
  assertEquals(liveness.hear(a, beat(), LATER_MS), false);
});

Deno.test("Liveness.acknowledge: carries the epoch that takes a role away, and that of new settings (rule L1)", () => {
  const { liveness, beat, member, state } = setUp();
  const a = member("a");
  a.ackEpochMin = 8;
  assertEquals(liveness.acknowledge(a, beat(), true, LATER_MS).epoch, 8);
  state.settingsEpoch = 9;
  assertEquals(liveness.acknowledge(a, beat(), true, LATER_MS).epoch, 9);
});

Deno.test("Liveness.tick: who was silent for the failure timeout is down, and not before the grace is over", () => {
  const { liveness, member, state, out } = setUp();
  liveness.noteRegistration(START_MS);
  const a = member("a");
  a.lastSeenMs = a.heardMs = LATER_MS - 2_500;
  state.graceUntilMs = LATER_MS + 1;
  // As every tick before it: the coordinator did not stand still.
  for (let ms = START_MS; ms < LATER_MS; ms += 1_000) liveness.tick(ms);
  state.graceUntilMs = LATER_MS + 1;
  assertEquals([liveness.tick(LATER_MS), a.presence], [true, "live"]);
  liveness.tick(LATER_MS + 1);
  assertEquals([a.presence, a.downSinceMs, a.info.state], ["down", LATER_MS + 1, "down"]);
  assertEquals(out.take().log.at(-1)?.fields?.reason, "not heard of for 2500 ms");
});

Deno.test("Liveness.tick: who hears of none of the nodes any more says so before it takes them to be down (rule G15)", () => {
  const { liveness, member, out } = setUp();
  liveness.noteRegistration(START_MS);
  for (let ms = START_MS; ms < LATER_MS; ms += 1_000) liveness.tick(ms);
  const deafAt = (ms: number) => {
    liveness.tick(ms);
    return out.take().deaf;
  };
  // A node that is down long since does not count, and one that is heard of is enough.
  member("c").presence = "down";
  member("c").lastSeenMs = 0;
  assertEquals([deafAt(LATER_MS), deafAt(LATER_MS + 1_000), deafAt(LATER_MS + 1_999)], [
    false,
    false,
    false,
  ]);
  member("b").lastSeenMs = LATER_MS + 500;
  assertEquals([deafAt(LATER_MS + 2_499), member("a").presence], [false, "live"]);
  assertEquals([deafAt(LATER_MS + 2_500), member("b").presence], [true, "live"]);
  // Alone, it goes on, and takes them to be down.
  assertEquals([deafAt(LATER_MS + 3_001), member("b").presence], [true, "down"]);
  assertEquals(deafAt(LATER_MS + 3_002), false);
});

Deno.test("Liveness.tick: judges nobody before the first node has registered (rule C10)", () => {
  const { liveness, member, out } = setUp();
  for (const id of ["a", "b", "c"]) member(id).lastSeenMs = 0;
  for (let ms = START_MS; ms <= LATER_MS; ms += 500) assertEquals(liveness.tick(ms), false);
  assertEquals([liveness.awaitsFirst, liveness.nobodyRegistered], [true, true]);
  assertEquals(out.take().log.map(({ event }) => event), [NOBODY_REGISTERED]);
  assertEquals(member("a").presence, "live");
  liveness.noteRegistration(START_MS);
  assertEquals([liveness.awaitsFirst, liveness.nobodyRegistered], [false, false]);
});

Deno.test("Liveness.tick: of several coordinators, whoever becomes active gives nodes time to find it (rule C10)", () => {
  for (const count of [1, 3]) {
    const { liveness, member, state } = setUp();
    state.setCoordinators(
      Array.from({ length: count }, (_, i) => ({ id: `c${i}`, host: "h", port: i + 1 })),
    );
    for (const id of ["b", "c"]) {
      Object.assign(member(id), { presence: "unknown", session: undefined, lastSeenMs: START_MS });
    }
    // What has a session already does not look for one.
    member("c").session = 3;
    for (let ms = START_MS; ms <= LATER_MS; ms += 500) liveness.tick(ms);
    liveness.noteRegistration(LATER_MS);
    member("a").lastSeenMs = Infinity;
    const silent = { a: "live", b: "unknown", c: "unknown" };
    const downAt: Record<string, number> = {};
    for (let ms = LATER_MS; ms <= LATER_MS + 6_000; ms += 500) {
      liveness.tick(ms);
      for (const id of Object.keys(silent)) {
        if (member(id).presence === "down") downAt[id] ??= ms - LATER_MS;
      }
    }
    const lateMs = count === 1 ? 0 : NODE_SEARCH_MS;
    assertEquals(downAt, { b: 2_500 + lateMs, c: 2_500 }, `${count} coordinators`);
    // The next one that registers gives nobody more time.
    const { lastSeenMs } = member("b");
    member("b").presence = "unknown";
    liveness.noteRegistration(LATER_MS + 7_000);
    assertEquals(member("b").lastSeenMs, lastSeenMs);
  }
});

Deno.test("Liveness.stoodStill: gives everybody time, after more than half a failure timeout", () => {
  const { liveness, state } = setUp();
  const before = state.graceUntilMs;
  liveness.stoodStill(1_250, LATER_MS);
  assertEquals(state.graceUntilMs, before);
  liveness.stoodStill(1_251, LATER_MS);
  assertEquals(state.graceUntilMs, LATER_MS + 2_500);
});

Deno.test("Liveness.noteAdopted: a partition is served for the first time once its primary has the map", () => {
  const { liveness, member, state } = setUp();
  state.fresh.set(0, 6);
  liveness.noteAdopted(member("a"), 5);
  liveness.noteAdopted(member("b"), 6);
  assertEquals([state.fresh.size, state.publisher.mustWrite(LATER_MS)], [1, false]);
  liveness.noteAdopted(member("a"), 6);
  assertEquals([state.fresh.size, state.publisher.mustWrite(LATER_MS)], [0, true]);
});
