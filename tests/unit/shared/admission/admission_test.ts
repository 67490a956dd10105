import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Admission, placesOf } from "../../../../shared/admission/admission.ts";
import { Seat } from "../../../../shared/admission/seat.ts";
import type { KvError } from "../../../../shared/base/errors.ts";
import {
  CONNECTIONS_MAX,
  CONNECTIONS_PER_PEER_MAX,
  FIRST_BYTE_TIMEOUT_MS,
  FIRST_MESSAGE_TIMEOUT_MS,
} from "../../../../shared/limits/admission.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { testAdmission } from "../../../support/doubles/test_admission.ts";

/** A connection that remembers how it was ended. */
class Visitor {
  ended: KvError | undefined;
  readonly seat: Seat | KvError;

  constructor(admission: Admission, queuedBytes?: () => number) {
    this.seat = admission.enter({
      end: (reason) => {
        this.ended = reason;
        this.taken.leave();
      },
      ...(queuedBytes === undefined ? {} : { queuedBytes }),
    });
  }

  get taken(): Seat {
    if (!(this.seat instanceof Seat)) throw this.seat;
    return this.seat;
  }

  /** As a client. */
  speaking(): this {
    assertEquals(this.taken.speak(), undefined);
    return this;
  }
}

Deno.test("placesOf: files and peers come first, clients get the rest", () => {
  const cases: [descriptors: number, clients: number, peers: number][] = [
    [0, 1, 8],
    [64, 1, 8],
    [100, 20, 8],
    [235, 129, 21],
    [1_000, 702, 117],
    [2_048, 1_488, 248],
    [Infinity, CONNECTIONS_MAX, 256],
  ];
  for (const [descriptors, clients, peers] of cases) {
    assertEquals(placesOf(descriptors), { clients, peers }, String(descriptors));
  }
});

Deno.test("Admission: silence holds nobody out", () => {
  const admission = testAdmission({ connectionsMax: 2, peerConnectionsMax: 1 });
  const silent = Array.from({ length: 3 }, () => new Visitor(admission));
  silent[0]?.taken.hear();
  const client = new Visitor(admission).speaking();
  assertEquals(silent.map(({ ended }) => ended?.code), [undefined, "overloaded", undefined]);
  new Visitor(admission);
  assertEquals(silent[2]?.ended?.code, "overloaded", "who has said nothing goes first");
  new Visitor(admission).taken.hear();
  new Visitor(admission);
  assertEquals(silent[0]?.ended?.code, "overloaded", "then who came first");
  assertEquals([client.ended, admission.open], [undefined, 3]);
});

Deno.test("Admission: clients do not take the places of peers, idle ones give up theirs", () => {
  const admission = testAdmission({ connectionsMax: 2, peerConnectionsMax: 1 });
  const [first, second] = [new Visitor(admission).speaking(), new Visitor(admission).speaking()];
  const third = new Visitor(admission);
  assertEquals(third.taken.speak()?.code, "overloaded");
  third.taken.leave();
  const peer = new Visitor(admission);
  peer.taken.becomePeer("node a");
  const late = new Visitor(admission);
  assert(!(late.seat instanceof Seat), "every place is taken by somebody who has spoken");
  second.taken.idle(true);
  const next = new Visitor(admission).speaking();
  assertEquals(second.ended?.code, "overloaded");
  assertEquals([first.ended, next.ended, peer.ended], [undefined, undefined, undefined]);
});

Deno.test("Admission: one peer has so many connections; one more ends the one that was silent for longest", () => {
  const clock = new ManualClock();
  const admission = testAdmission({}, clock);
  const join = (name: string) => {
    const visitor = new Visitor(admission);
    visitor.taken.becomePeer(name);
    clock.advance(10);
    return visitor;
  };
  const all = Array.from({ length: CONNECTIONS_PER_PEER_MAX }, () => join("node a"));
  // The oldest is in use; of the second nobody has told that it broke.
  all[0]?.taken.hear();
  const other = join("node b");
  assertEquals(all.filter(({ ended }) => ended !== undefined), []);
  const next = join("node a");
  assertEquals(all.map(({ ended }) => ended?.code), [undefined, "overloaded", ...Array(6)]);
  assertEquals([other.ended, next.ended], [undefined, undefined]);
});

Deno.test("Admission: who holds most of what is not complete is ended, of each standing apart", () => {
  const bounds = { newcomer: 100, client: 100, peer: 100 };
  for (const what of ["input", "output"] as const) {
    const admission = testAdmission({ unfinishedBytesMax: bounds, queuedBytesMax: bounds });
    const newcomer = new Visitor(admission);
    newcomer.taken.hold(what, 90);
    const [small, large] = [new Visitor(admission).speaking(), new Visitor(admission).speaking()];
    large.taken.hold(what, 60);
    small.taken.hold(what, 40);
    assertEquals(large.ended, undefined);
    small.taken.hold(what, 50);
    assertEquals([large.ended?.code, small.ended, newcomer.ended], [
      "overloaded",
      undefined,
      undefined,
    ]);
    small.taken.hold(what, 100);
    const peer = new Visitor(admission);
    peer.taken.becomePeer("node a");
    peer.taken.hold(what, 100);
    newcomer.taken.speak();
    assertEquals([small.ended, peer.ended], [undefined, undefined]);
    newcomer.taken.hold(what, 91);
    assertEquals(small.ended?.code, "overloaded", "what it held came with it");
    assertStringIncludes(String(small.ended?.message), "which may be 100");
    small.taken.leave();
    newcomer.taken.leave();
    peer.taken.leave();
    const { unfinished_bytes: input, queued_bytes: output } = admission.stats();
    assertEquals([input, output], [0, 0]);
  }
});

Deno.test("Admission: what has been sent since it was told of ends nobody", () => {
  const bounds = { newcomer: 100, client: 100, peer: 100 };
  const admission = testAdmission({ queuedBytesMax: bounds });
  const drained = new Visitor(admission, () => 10).speaking();
  const other = new Visitor(admission, () => 60).speaking();
  drained.taken.hold("output", 90);
  other.taken.hold("output", 60);
  assertEquals([drained.ended, other.ended], [undefined, undefined]);
  assertEquals(admission.stats().queued_bytes, 70);
});

Deno.test("Admission: the first byte and the first message have a deadline", () => {
  const clock = new ManualClock();
  const admission = testAdmission({}, clock);
  const [silent, slow] = [new Visitor(admission), new Visitor(admission)];
  const client = new Visitor(admission).speaking();
  slow.taken.hear();
  clock.advance(FIRST_BYTE_TIMEOUT_MS - 1);
  assertEquals(silent.ended, undefined);
  clock.advance(10_000);
  assertEquals([silent.ended?.code, slow.ended], ["timeout", undefined]);
  clock.advance(FIRST_MESSAGE_TIMEOUT_MS);
  assertEquals([slow.ended?.code, client.ended, admission.open], ["timeout", undefined, 1]);
});

Deno.test("Admission counts descriptors again before it refuses", () => {
  let free = 5_000;
  const asked: number[] = [];
  const freeDescriptors = (atMost: number) => {
    asked.push(atMost);
    return Math.min(atMost, free - admission.open);
  };
  const admission: Admission = testAdmission({
    freeDescriptors: (atMost) =>
      asked.length === 0 ? asked.push(atMost) * atMost : freeDescriptors(atMost),
  });
  assertEquals(admission.clientsMax, 1_488);
  for (let i = 0; i < 4_000; i++) new Visitor(admission).speaking();
  assert(asked.length > 2 && asked.length < 10);
  free = 4_100;
  let refused = 0;
  for (let i = 0; i < 4_000; i++) {
    const { seat } = new Visitor(admission);
    if (!(seat instanceof Seat) || seat.speak() !== undefined) refused++;
  }
  assert(refused > 3_000);
});
