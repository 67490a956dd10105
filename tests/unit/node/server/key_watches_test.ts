import { assert, assertEquals } from "@std/assert";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { INVALIDATE_KEYS_MAX } from "../../../../shared/base/limits.ts";
import { Watchers } from "../../../../node/server/key_watches.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** A gateway's connection that notes down what it is sent. */
class Gateway {
  closed = false;
  readonly sent: string[][] = [];

  send(message: object): void {
    assert("keys" in message && Array.isArray(message.keys));
    this.sent.push(message.keys);
  }
}

function setUp(limits?: { perConnection: number; inTotal: number }) {
  const clock = new ManualClock();
  return { clock, watchers: new Watchers(clock, limits), gateway: new Gateway() };
}

function read(watchers: Watchers, gateway: Gateway, partition: number, key: string): void {
  watchers.endRead(watchers.beginRead(gateway, partition, key), true);
}

Deno.test("Watchers tells of a changed key once, and of no other", () => {
  const { clock, watchers, gateway } = setUp();
  read(watchers, gateway, 3, "a");
  read(watchers, gateway, 3, "b");
  watchers.onCommitted(3, "c");
  watchers.onCommitted(3, "a");
  watchers.onCommitted(3, "a");
  clock.settle();
  assertEquals(gateway.sent, [["a"]]);
  assertEquals(watchers.size, 1);
});

Deno.test("Watchers gathers what one turn changes into one message", () => {
  const { clock, watchers, gateway } = setUp();
  for (const key of ["a", "b", "c"]) read(watchers, gateway, 1, key);
  for (const key of ["c", "a"]) watchers.onCommitted(1, key);
  assertEquals(gateway.sent, []);
  clock.settle();
  watchers.onCommitted(1, "b");
  clock.settle();
  assertEquals(gateway.sent, [["c", "a"], ["b"]]);
});

Deno.test("Watchers cuts a long list into several messages", () => {
  const { clock, watchers, gateway } = setUp();
  const count = INVALIDATE_KEYS_MAX + 1;
  for (let i = 0; i < count; i++) read(watchers, gateway, 1, `k${i}`);
  for (let i = 0; i < count; i++) watchers.onCommitted(1, `k${i}`);
  clock.settle();
  assertEquals(gateway.sent.map((keys) => keys.length), [INVALIDATE_KEYS_MAX, 1]);
});

Deno.test("Watchers tells again, behind the answer, of a change during the read", () => {
  const { clock, watchers, gateway } = setUp();
  const watch = watchers.beginRead(gateway, 1, "a");
  watchers.onCommitted(1, "a");
  clock.settle();
  assertEquals(gateway.sent, [["a"]]);
  watchers.endRead(watch, true);
  clock.settle();
  assertEquals(gateway.sent, [["a"], ["a"]]);
  assertEquals(watchers.size, 0);
});

Deno.test("Watchers waits for the last of two reads of one key", () => {
  const { clock, watchers, gateway } = setUp();
  const first = watchers.beginRead(gateway, 1, "a");
  const second = watchers.beginRead(gateway, 1, "a");
  watchers.endRead(first, true);
  watchers.onCommitted(1, "a");
  watchers.endRead(second, true);
  clock.settle();
  assertEquals(gateway.sent, [["a"]]);
  assertEquals(watchers.size, 0);
});

Deno.test("Watchers forgets a read that was answered with an error", () => {
  const { clock, watchers, gateway } = setUp();
  watchers.endRead(watchers.beginRead(gateway, 1, "a"), false);
  clock.settle();
  assertEquals(gateway.sent, []);
  assertEquals(watchers.size, 0);
});

Deno.test("Watchers keeps what an earlier answer needs when a later read fails", () => {
  const { clock, watchers, gateway } = setUp();
  read(watchers, gateway, 1, "a");
  watchers.endRead(watchers.beginRead(gateway, 1, "a"), false);
  watchers.onCommitted(1, "a");
  clock.settle();
  assertEquals(gateway.sent, [["a"]]);
});

Deno.test("Watchers uses up the oldest of a connection at its bound", () => {
  const { clock, watchers, gateway } = setUp({ perConnection: 2, inTotal: 100 });
  for (const key of ["a", "b"]) read(watchers, gateway, 1, key);
  read(watchers, gateway, 1, "a");
  read(watchers, gateway, 1, "c");
  clock.settle();
  assertEquals(gateway.sent, [["b"]]);
  assertEquals(watchers.size, 2);
});

Deno.test("Watchers uses up the oldest of all at the total bound", () => {
  const { clock, watchers, gateway } = setUp({ perConnection: 100, inTotal: 2 });
  const other = new Gateway();
  read(watchers, gateway, 1, "a");
  read(watchers, other, 1, "a");
  read(watchers, other, 1, "b");
  clock.settle();
  assertEquals([gateway.sent, other.sent], [[["a"]], []]);
  assertEquals(watchers.size, 2);
});

Deno.test("Watchers covers an answer whose watch was used up while the read was under way", () => {
  const { clock, watchers, gateway } = setUp({ perConnection: 1, inTotal: 100 });
  const watch = watchers.beginRead(gateway, 1, "a");
  read(watchers, gateway, 1, "b");
  clock.settle();
  watchers.endRead(watch, true);
  clock.settle();
  assertEquals(gateway.sent, [["a"], ["a"]]);
});

Deno.test("Watchers.adoptMap tells of every key whose primary is elsewhere now", () => {
  const { clock, watchers, gateway } = setUp();
  read(watchers, gateway, 0, "mine");
  read(watchers, gateway, 1, "theirs");
  read(watchers, gateway, 2, "nobody's");
  const partition = (primary: string | undefined) => (
    { term: 1, primary, inSync: primary === undefined ? [] : [primary], learners: [] }
  );
  const map: ClusterMap = {
    epoch: 2,
    settings: {
      clusterId: "c",
      clusterName: "c",
      partitionCount: 4,
      replicationFactor: 1,
      minInSync: 1,
      leaseMs: 1500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2500,
    },
    nodes: [],
    partitions: [partition("me"), partition("other"), partition(undefined), partition("other")],
  };
  watchers.adoptMap(map, "me");
  clock.settle();
  assertEquals(gateway.sent, [["theirs", "nobody's"]]);
  assertEquals(watchers.size, 1);
});

Deno.test("Watchers.forget drops all of a connection and sends nothing", () => {
  const { clock, watchers, gateway } = setUp();
  const other = new Gateway();
  read(watchers, gateway, 1, "a");
  read(watchers, other, 1, "a");
  const late = watchers.beginRead(gateway, 1, "b");
  watchers.onCommitted(1, "b");
  gateway.closed = true;
  watchers.forget(gateway);
  watchers.endRead(late, true);
  watchers.onCommitted(1, "a");
  clock.settle();
  assertEquals([gateway.sent, other.sent], [[], [["a"]]]);
  assertEquals(watchers.size, 0);
});
