import { assert, assertEquals } from "@std/assert";
import { SessionOutput } from "../../../../node/resp/session_output.ts";
import { StreamGuard } from "../../../../node/resp/protocol/stream_guard.ts";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import { REPLY_BYTES_MAX, REPLY_BYTES_PAUSE } from "../../../../shared/limits/admission.ts";
import type { Stream } from "../../../../shared/platform/transport.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

/** A connection whose client reads what the test lets it read. */
function setUp() {
  const clock = new ManualClock();
  const told: string[] = [];
  const written: string[] = [];
  const state = { queuedBytes: 0 };
  const stream = {
    get queuedBytes() {
      return state.queuedBytes;
    },
    write(bytes: Uint8Array) {
      written.push(new TextDecoder().decode(bytes));
      state.queuedBytes += bytes.length;
    },
  } as unknown as Stream;
  const output = new SessionOutput(
    { clock, slab: new ByteSlab() },
    stream,
    new StreamGuard(clock, stream, () => {}),
    { onBackedUp: () => told.push("backed up"), onUnread: () => told.push("unread") },
  );
  return { clock, output, written, told, state };
}

Deno.test("SessionOutput: what is answered together is written together", async () => {
  const { clock, output, written } = setUp();
  output.answer((out) => out.integer(1));
  output.scheduleFlush();
  output.answer((out) => out.integer(2));
  output.scheduleFlush();
  assertEquals(written, []);
  await clock.run();
  assertEquals(written, [":1\r\n:2\r\n"]);
});

Deno.test("SessionOutput: a client that has switched replies off gets none, or misses one", () => {
  const { output, written } = setUp();
  output.mode = "skip";
  for (const n of [1, 2]) output.answer((out) => out.integer(n));
  output.mode = "off";
  output.answer((out) => out.integer(3));
  output.answer((out) => {
    [output.mode, output.switchedOn] = ["on", true];
    out.ok();
  });
  output.flush();
  assertEquals(written, [":2\r\n+OK\r\n"]);
});

Deno.test("SessionOutput: says when too much is unread, and when far too much is", () => {
  const { output, told, state } = setUp();
  const answer = () => {
    output.answer((out) => out.ok());
    output.flush();
  };
  state.queuedBytes = REPLY_BYTES_PAUSE;
  answer();
  assertEquals([told, output.backedUp], [["backed up"], true]);
  output.drained();
  state.queuedBytes = REPLY_BYTES_MAX + 1;
  answer();
  assertEquals([told, output.backedUp], [["backed up", "unread"], false]);
});

Deno.test("SessionOutput: nothing is written to a connection that is closed", () => {
  const { output, written } = setUp();
  output.answer((out) => out.ok());
  output.end();
  output.flush();
  assertEquals(written, []);
});

Deno.test("SessionOutput: remembers how long late replies are, and forgets slowly", () => {
  const { output } = setUp();
  const plan = (text: string) => {
    const request = { req_type: "get", key: "k" } as const;
    return { request, finish: () => output.out.bulkText(text) };
  };
  output.answerPlan(plan("x".repeat(1_000)), { req_type: "ack" });
  const long = output.lateReplyBytes;
  assert(long > 1_000);
  output.answerPlan(plan("x"), { req_type: "ack" });
  assert(output.lateReplyBytes < long && output.lateReplyBytes > long / 2);
});
