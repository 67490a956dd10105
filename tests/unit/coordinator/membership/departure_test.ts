import { assertEquals, assertThrows } from "@std/assert";
import { checkForget, Departures } from "../../../../coordinator/membership/departure.ts";
import { FORGET_DOWN_MS } from "../../../../shared/limits/membership.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import { coordinatorState, LATER_MS } from "../../../support/worlds/coordinator_state.ts";

const REPAIR_DELAY_MS = 5_000;

function setUp(config: PartitionConfig) {
  const base = coordinatorState({ partitions: [config] });
  const departures = new Departures(base.state, base.out, REPAIR_DELAY_MS);
  /** Sessions that were told that they may go. */
  const letGo = () => {
    departures.letGo();
    const { document, messages } = base.out.take();
    const sent = messages.filter(({ message }) => message.req_type === "left");
    if (document !== undefined) base.state.publisher.persisted(document.map.epoch, LATER_MS);
    return sent.flatMap(({ sessions }) => sessions);
  };
  const down = (id: string) => {
    const member = base.member(id);
    member.presence = "down";
    member.downSinceMs = member.lastSeenMs = member.heardMs = LATER_MS - 3_000;
    return member;
  };
  return { ...base, departures, letGo, down };
}

const SHARED = { term: 1, primary: "a", inSync: ["a", "b"], learners: [] };

Deno.test("Departures: one that stops goes when it leads nothing that another could take", () => {
  const { departures, member, state, letGo } = setUp(SHARED);
  departures.begin(member("a"), true);
  assertEquals(letGo(), []);
  state.reconfigure(0, { primary: "b", inSync: ["a", "b"], learners: [] });
  assertEquals(state.publisher.mustWrite(LATER_MS), true);
  departures.letGo();
  assertEquals([member("a").released, departures.isDismissed(1)], [true, true]);
  departures.forgetSession(1);
  assertEquals(departures.isDismissed(1), false);
});

Deno.test("Departures: one that leaves goes off the list when it holds nothing", () => {
  const { departures, member, state, letGo } = setUp(SHARED);
  departures.begin(member("c"), false);
  assertEquals(member("c").info.state, "leaving");
  letGo();
  assertEquals([state.members.has("c"), state.sessions.has(3)], [false, false]);
  departures.begin(member("b"), false);
  departures.letGo();
  assertEquals([state.members.has("b"), member("b").released], [true, false], "it is needed");
});

Deno.test("Departures: one that leaves is told to wait if all that could take its replicas are down", () => {
  const { departures, member, out, down } = setUp(SHARED);
  for (const id of ["b", "c"]) down(id);
  departures.begin(member("a"), false);
  assertEquals(out.take().log.map(({ level }) => level), ["info", "warn"]);
});

Deno.test("Departures.forgetNodes: who is down and holds nothing, after a while or when it is replaced", () => {
  const rows: [string, (parts: ReturnType<typeof setUp>) => void, number, boolean][] = [
    ["on disk", () => {}, LATER_MS, false],
    ["on disk, after long", () => {}, LATER_MS - 3_000 + FORGET_DOWN_MS, true],
    ["in memory", ({ member }) => member("c").memory = true, LATER_MS + 2_000, true],
    ["in memory, too early", ({ member }) => member("c").memory = true, LATER_MS + 1_999, false],
    ["had asked to leave", ({ member }) => member("c").departure = "leaving", LATER_MS, true],
    [
      "another one at its address",
      ({ member }) => member("b").info = { ...member("c").info, id: "b" },
      LATER_MS,
      true,
    ],
    [
      "holds something",
      ({ state }) => state.reconfigure(0, { primary: "a", inSync: ["a", "c"], learners: [] }),
      LATER_MS - 3_000 + FORGET_DOWN_MS,
      false,
    ],
  ];
  for (const [name, prepare, nowMs, gone] of rows) {
    const parts = setUp(SHARED);
    parts.down("c");
    prepare(parts);
    parts.departures.forgetNodes(nowMs);
    assertEquals(!parts.state.members.has("c"), gone, name);
  }
});

Deno.test("checkForget: only who is gone for sure, and is needed by nobody unless it is forced (rule C11)", () => {
  const { state, member, down } = setUp({ ...SHARED, inSync: ["a"] });
  const code = (id: string, force = false, nowMs = LATER_MS) =>
    assertThrows(() => checkForget(state, id, force, nowMs), KvError).code;
  assertEquals([code("x"), code("a")], ["bad_request", "bad_request"]);
  down("a");
  assertEquals(code("a", false, LATER_MS - 600), "unavailable", "not for long enough");
  member("a").heardMs = LATER_MS;
  assertEquals(code("a"), "unavailable", "its heartbeats come");
  member("a").heardMs = LATER_MS - 3_000;
  assertEquals(code("a"), "bad_request", "only it has every acknowledged write");
  assertEquals(checkForget(state, "a", true, LATER_MS).alone, [0]);
  down("c");
  assertEquals(checkForget(state, "c", false, LATER_MS).alone, []);
});
