import { assertEquals } from "@std/assert";
import { CommandDispatch, type DispatchSession } from "../../../../node/resp/command_dispatch.ts";
import { ReplyQueue } from "../../../../node/resp/reply_queue.ts";
import { RespWriter } from "../../../../node/resp/protocol/writer.ts";
import { COMMAND_TABLE } from "../../../../node/resp/tables/command_table.ts";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import { RequestMetrics } from "../../../../shared/metrics/request_metrics.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import type { KeyRequest } from "../../../../shared/wire/messages.ts";

/** A connection that notes what its commands do to it. */
function setUp({ budget = true, open = false, refused = "" } = {}) {
  const out = new RespWriter(new ByteSlab());
  const told: unknown[] = [];
  const requests: KeyRequest[] = [];
  const session = {
    out,
    takeMeasured: () => undefined,
    server: {
      metrics: new RequestMetrics(new ManualClock()),
      table: COMMAND_TABLE,
      budget: { take: () => budget },
      counted: () => told.push("counted"),
      copy: (argument: Uint8Array) => argument.slice(),
      valueBytesMax: 1_000,
      wallMs: () => 0,
      pause: { mode: undefined },
      pubSub: { local: { has: () => false } },
      tracking: { begins: () => {} },
    },
    login: { whyRefused: () => refused === "" ? undefined : refused },
    database: { prefix: "" },
    transaction: {
      open,
      queue: (spec: { name: string }) => told.push(`queued ${spec.name}`),
      abort: (why: string) => told.push(`aborted: ${why}`),
    },
    answer: (write: (out: RespWriter) => void) => write(out),
    refuse: (text: string) => void told.push(text),
    refuseBytes: () => told.push("too many bytes"),
    runAlone: () => told.push("alone"),
    execute: (request: KeyRequest) => requests.push(request),
  } as unknown as DispatchSession;
  const queue = new ReplyQueue({
    onTurn: () => {},
    onReply: () => {},
    onKept: () => {},
    onProgress: () => {},
    onMeasured: () => {},
  });
  const dispatch = new CommandDispatch(session, queue);
  const encoder = new TextEncoder();
  const run = (line: string) => {
    dispatch.run(line.split(" ").map((word) => encoder.encode(word)));
    return new TextDecoder().decode(out.take());
  };
  return { run, told, requests, queue };
}

Deno.test("CommandDispatch: what is not in the table, or has a wrong number of arguments, is refused", () => {
  const { run, told } = setUp();
  for (const line of ["nosuch a", "client nosuch", "get", "exec now"]) run(line);
  assertEquals(told, [
    "ERR unknown command 'nosuch', with args beginning with: 'a' ",
    "ERR unknown subcommand 'nosuch'. Try CLIENT HELP.",
    "ERR wrong number of arguments for 'get' command",
    "aborted: wrong number of arguments for 'exec' command",
  ]);
});

Deno.test("CommandDispatch: runs a command as its row says", () => {
  const { run, told, requests, queue } = setUp();
  assertEquals(run("PING"), "+PONG\r\n");
  run("get k");
  run("dbsize");
  assertEquals(requests.map(({ req_type, key }) => [req_type, key]), [["get", "k"]]);
  assertEquals([told, queue.size], [["counted", "counted", "counted", "alone"], 1]);
});

Deno.test("CommandDispatch: what answers at once waits for those before it", () => {
  const { run } = setUp();
  run("get k");
  assertEquals(run("ping"), "");
});

Deno.test("CommandDispatch: without room for its bytes nothing is begun", () => {
  const { run, told, requests } = setUp({ budget: false });
  run("get k");
  assertEquals([told, requests], [["counted", "too many bytes"], []]);
});

Deno.test("CommandDispatch: between MULTI and EXEC a command is put aside", () => {
  const { run, told } = setUp({ open: true });
  run("get k");
  assertEquals(told, ["counted", "queued get"]);
});

Deno.test("CommandDispatch: what its user may not run is neither begun nor put aside", () => {
  for (const open of [false, true]) {
    const { run, told, requests, queue } = setUp({ open, refused: "NOPERM" });
    for (const line of ["get k", "ping", "dbsize", "multi"]) assertEquals(run(line), "");
    assertEquals(told.filter((one) => one !== "counted"), Array(4).fill("NOPERM"));
    assertEquals([requests, queue.size], [[], 0]);
  }
});
