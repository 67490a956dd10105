import { assertEquals, assertThrows } from "@std/assert";
import { ClientSessions } from "../../../../shared/database/client_sessions.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

const PARTITIONS = 4;
const MAP = { settings: { partitionCount: PARTITIONS } } as ClusterMap;
const REQUEST = { req_type: "increment", key: "a" } as const satisfies KeyRequest;
const P = partitionOf("a", PARTITIONS);

interface Sent {
  readonly request: KeyRequest & { session?: string; request_number?: number; since?: number };
  readonly timeoutMs: number;
  readonly done: (reply: Reply) => void;
}

class Bench {
  readonly clock = new ManualClock();
  readonly sent: Sent[] = [];
  readonly replies: Reply[] = [];
  map: ClusterMap | undefined = MAP;
  cancelled = 0;
  readonly sessions = new ClientSessions({
    clock: this.clock,
    map: () => this.map,
    name: () => "me",
    send: (request, timeoutMs, done) => {
      this.sent.push({ request: request as Sent["request"], timeoutMs, done });
      return () => this.cancelled++;
    },
  });

  execute(request: KeyRequest = REQUEST, timeoutMs = 1_000): () => void {
    return this.sessions.execute(request, timeoutMs, (reply) => this.replies.push(reply));
  }

  /** Session, number and `since` of what was sent. */
  get asked(): unknown[] {
    return this.sent.map(({ request: { session, request_number, since } }) => [
      session,
      request_number,
      since,
    ]);
  }
}

function ack(version: number): Reply {
  return { req_type: "ack", version };
}

function evicted(since: number): Reply {
  return { req_type: "error", code: "session_evicted", message: "", detail: { since } };
}

Deno.test("ClientSessions: as many as requests at a time, of each partition, with growing numbers", () => {
  const bench = new Bench();
  const other = ["b", "c", "d", "e", "f"].find((key) => partitionOf(key, PARTITIONS) !== P) ?? "";
  bench.execute();
  bench.execute();
  bench.execute({ ...REQUEST, key: other });
  bench.sent[0]?.done(ack(5));
  bench.execute();
  bench.execute({ ...REQUEST, key: other });
  const q = partitionOf(other, PARTITIONS);
  assertEquals(bench.asked, [
    [`me.${P}.0`, 1, undefined],
    [`me.${P}.1`, 1, undefined],
    [`me.${q}.0`, 1, undefined],
    [`me.${P}.0`, 2, 5],
    [`me.${q}.1`, 1, undefined],
  ]);
});

Deno.test("ClientSessions: a request whose session may be forgotten is sent again with what is known now", () => {
  const bench = new Bench();
  bench.execute();
  bench.clock.advance(400);
  bench.sent[0]?.done(evicted(9));
  assertEquals(bench.replies, []);
  assertEquals(bench.asked.at(-1), [`me.${P}.0`, 1, 9]);
  assertEquals(bench.sent.at(-1)?.timeoutMs, 600);
  bench.sent[1]?.done(ack(10));
  assertEquals(bench.replies, [ack(10)]);
  // Late answers of the first attempt change nothing.
  bench.sent[0]?.done(ack(11));
  assertEquals(bench.replies.length, 1);
  bench.execute();
  assertEquals(bench.asked.at(-1), [`me.${P}.0`, 2, 10]);
});

Deno.test("ClientSessions: it is not sent again behind its deadline, nor without end", () => {
  const late = new Bench();
  late.execute();
  late.clock.advance(1_000);
  late.sent[0]?.done(evicted(9));
  assertEquals(late.replies, [evicted(9)]);
  const bench = new Bench();
  bench.execute();
  for (let i = 0; i < bench.sent.length && i < 100; i++) bench.sent[i]?.done(evicted(i + 1));
  assertEquals([bench.sent.length, bench.replies.length], [16, 1]);
});

Deno.test("ClientSessions: what one disk has acknowledged tells nothing of what is committed", () => {
  const bench = new Bench();
  bench.execute({ ...REQUEST, acks: "primary" });
  bench.sent[0]?.done(ack(5));
  bench.execute();
  assertEquals(bench.asked.at(-1), [`me.${P}.0`, 2, undefined]);
});

Deno.test("ClientSessions: before there is a map nothing is known of any partition", () => {
  const bench = new Bench();
  bench.map = undefined;
  bench.execute();
  bench.execute();
  bench.sent[0]?.done(evicted(7));
  bench.sent[2]?.done(ack(8));
  bench.execute();
  assertEquals(bench.asked, [
    ["me.-.0", 1, undefined],
    ["me.-.1", 1, undefined],
    ["me.-.0", 1, 7],
    ["me.-.0", 2, undefined],
  ]);
});

Deno.test("ClientSessions: one that is given up, or refused at once, is free again", () => {
  const bench = new Bench();
  const cancel = bench.execute();
  cancel();
  bench.sent[0]?.done(ack(3));
  assertEquals([bench.cancelled, bench.replies.length], [1, 0]);
  bench.execute();
  assertEquals(bench.asked.at(-1), [`me.${P}.0`, 2, undefined]);
  let refuse = true;
  const sessions = new ClientSessions({
    clock: bench.clock,
    map: () => MAP,
    name: () => "you",
    send: (request) => {
      bench.sent.push({ request: request as Sent["request"], timeoutMs: 0, done: () => {} });
      if (refuse) throw new Error("refused");
      return () => {};
    },
  });
  assertThrows(() => sessions.execute(REQUEST, 1_000, () => {}), Error, "refused");
  refuse = false;
  sessions.execute(REQUEST, 1_000, () => {});
  assertEquals(bench.asked.at(-1), [`you.${P}.0`, 2, undefined]);
});
