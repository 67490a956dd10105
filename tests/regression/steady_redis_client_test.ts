/**
 * A Redis client that sent without a pause was cut off after 30 seconds, as one that hangs: every read
 * ended within a command, and the time of the first that was not complete went on for all that followed.
 * And one that hung within a command that had come while the session was paused was never cut off. Found
 * by a review.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { RESP_PENDING_MAX } from "../../shared/limits/resp.ts";
import { FRAME_TIMEOUT_MS } from "../../shared/limits/wire.ts";
import { encodeCommand, RespBench } from "../support/clients/resp_bench.ts";

Deno.test("RespSession: a client that sends without a pause is not cut off, one that stops is", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const command = encodeCommand(["SET", "k", "x".repeat(100)]);
  const [head, tail] = [command.subarray(0, 50), command.subarray(50)];
  peer.feed(head);
  let sets = 0;
  for (let ms = 0; ms < 2 * FRAME_TIMEOUT_MS && peer.closed === "open"; ms += 1_000) {
    await bench.clock.advance(1_000);
    peer.feed(new Uint8Array([...tail, ...head]));
    await bench.clock.run();
    sets++;
  }
  assertEquals(peer.received, "+OK\r\n".repeat(sets));
  bench.clock.advance(FRAME_TIMEOUT_MS - 1);
  assertEquals(peer.closed, "open");
  bench.clock.advance(2);
  assertEquals(peer.closed, "cut");
});

Deno.test("RespSession: a command that began while the session was paused must be complete in time", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("GET k\r\n".repeat(RESP_PENDING_MAX) + "*2\r\n$4\r\nECHO\r\n$10\r\nab");
  bench.clock.advance(2 * FRAME_TIMEOUT_MS);
  assertEquals([peer.paused, peer.closed], [true, "open"], "the time that is ours does not count");
  bench.database.release();
  await bench.clock.run();
  assertEquals([peer.paused, peer.closed, bench.server.outstanding], [false, "open", 0]);
  bench.clock.advance(FRAME_TIMEOUT_MS + 1);
  assertEquals(peer.closed, "cut");
});

Deno.test("RespSession: the time in which a client was not read does not count for its command", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  peer.feed("*2\r\n$4\r\nECHO\r\n");
  peer.queuedBytes = 1 << 21;
  peer.feed("$2\r\nab\r\n*2\r\n$4\r\nECHO\r\n$2\r\na");
  await bench.clock.run();
  assertEquals(peer.paused, true, "its replies are not read");
  bench.clock.advance(FRAME_TIMEOUT_MS - 1);
  peer.queuedBytes = 0;
  peer.drain();
  await bench.clock.run(FRAME_TIMEOUT_MS - 1);
  assertEquals(peer.closed, "open");
  peer.feed("b\r\n");
  await bench.clock.run();
  assertEquals(peer.received, "$2\r\nab\r\n$2\r\nab\r\n");
});
