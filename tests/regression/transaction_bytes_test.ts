/**
 * The bytes of a transaction of the Redis front end were counted while it was put together, and not while it
 * was under way: sixty-four of 1 MiB were, of a budget of 4 MiB. And when EXEC ran as the session went on
 * by itself, and not while it read, they stayed counted when it was answered: a connection that then said
 * nothing more took its part of the budget from all others. Found by a review.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { RESP_PENDING_MAX } from "../../shared/limits/resp.ts";
import { encodeCommand, RespBench, type RespPeer } from "../support/clients/resp_bench.ts";

const MIB = 1 << 20;
const BUDGET = 4 * MIB;

async function transact(bench: RespBench, peer: RespPeer, before = ""): Promise<void> {
  peer.feed("MULTI\r\n" + before);
  peer.feed(encodeCommand(["SET", "{k}", new Uint8Array(MIB)]));
  peer.feed("EXEC\r\n");
  await bench.clock.run();
}

Deno.test("RespSession: what EXEC has sent counts until it is answered", async () => {
  const bench = new RespBench({ budgetBytes: BUDGET });
  const peer = bench.connect();
  const { database } = bench;
  database.later = true;
  while (peer.closed === "open" && database.requests.length < 64) {
    const underWay = database.requests.length;
    await transact(bench, peer);
    if (database.requests.length === underWay) break;
  }
  const underWay = database.requests.length;
  assert(underWay > 1 && underWay <= BUDGET / MIB, `${underWay} MiB are under way`);
  database.release();
  await bench.clock.run();
  assertEquals(bench.budget.taken, 0);
});

Deno.test("RespSession: what EXEC looks at before it writes counts until it is answered", async () => {
  const bench = new RespBench({ budgetBytes: BUDGET });
  const peers = Array.from({ length: 8 }, () => bench.connect());
  await peers[0]?.ask("SET {k}from x");
  const { database } = bench;
  database.later = true;
  for (const peer of peers) await transact(bench, peer, "COPY {k}from {k}to\r\n");
  const underWay = bench.server.outstanding;
  assert(underWay > 1 && underWay <= BUDGET / MIB, `${underWay} MiB are under way`);
  for (let i = 0; i < 100 && bench.server.outstanding > 0; i++) {
    database.release();
    await bench.clock.run();
  }
  assertEquals([bench.server.outstanding, bench.budget.taken], [0, 0]);
});

Deno.test("RespSession: one transaction may be as large as the budget", async () => {
  const bench = new RespBench({ budgetBytes: MIB + 10_000 });
  const peer = bench.connect();
  await transact(bench, peer);
  assertEquals(peer.received, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  assertEquals(bench.budget.taken, 0);
});

Deno.test("RespSession: a connection that ends while EXEC is under way gives its bytes back", async () => {
  for (const before of ["", "COPY {k}from {k}to\r\n"]) {
    const bench = new RespBench();
    const peer = bench.connect();
    bench.database.later = true;
    await transact(bench, peer, before);
    assert(bench.budget.taken > MIB);
    peer.close();
    await bench.clock.run();
    bench.database.release();
    await bench.clock.run();
    assertEquals(bench.budget.taken, 0);
  }
});

Deno.test("RespSession: nothing counts once everything is answered, also if EXEC had to wait", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("GET k\r\n".repeat(RESP_PENDING_MAX - 2) + "MULTI\r\n");
  const set = encodeCommand(["SET", "k", new Uint8Array(MIB)]);
  const all = new Uint8Array([...set, ...new TextEncoder().encode("EXEC\r\n")]);
  for (let at = 0; at < all.length; at += 65_536) peer.feed(all.subarray(at, at + 65_536));
  assert(peer.paused);
  for (let i = 0; i < 5; i++) {
    bench.database.release();
    await bench.clock.run();
  }
  assertEquals([peer.paused, bench.server.outstanding], [false, 0]);
  assertEquals(bench.budget.taken, 0, "of an idle connection");
});
