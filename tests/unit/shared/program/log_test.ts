import { assertEquals, assertStringIncludes } from "@std/assert";
import { startLog } from "../../../../shared/program/log.ts";
import { jsonLine, type LogRecord, textLine } from "../../../../shared/program/log_format.ts";

const RECORD: LogRecord = {
  timeMs: 3_723_004,
  level: "warn",
  category: "node",
  event: "lease lost",
  fields: { partition: 7, node: "ab12", reason: "no answer", none: undefined },
};

Deno.test("textLine: is one line with facts as name=value", () => {
  assertEquals(
    textLine(RECORD, false),
    `01:02:03.004 warn  node  lease lost partition=7 node=ab12 reason="no answer"`,
  );
  const hostile = textLine({ ...RECORD, event: "a\nb\x1b[31m", fields: { x: "c\nd" } }, false);
  assertEquals(hostile, `01:02:03.004 warn  node  a b [31m x="c\\nd"`);
});

Deno.test("jsonLine: keeps its own names, and takes any value", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  assertEquals(JSON.parse(jsonLine({ ...RECORD, fields: { level: "x", n: 1 } })), {
    time: "1970-01-01T01:02:03.004Z",
    level: "warn",
    category: "node",
    event: "lease lost",
    n: 1,
  });
  const fields = {
    big: 1n,
    error: new RangeError("far"),
    bytes: new Uint8Array(3),
    set: new Set([1]),
  };
  const parsed = JSON.parse(jsonLine({ ...RECORD, fields }));
  assertEquals(parsed.big, "1");
  assertEquals(parsed.error, { error: "RangeError", message: "far" });
  assertEquals(parsed.bytes, "3 bytes");
  assertEquals(parsed.set, [1]);
  assertEquals(typeof JSON.parse(jsonLine({ ...RECORD, fields: { cycle } })), "string");
});

/** A standard error whose reader can be slow. */
class FakeOutput {
  text = "";
  open: Promise<void> = Promise.resolve();

  constructor(readonly terminal: boolean) {}

  isTerminal(): boolean {
    return this.terminal;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.open;
    const taken = bytes.subarray(0, 100_000);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  }
}

Deno.test("startLog: writes records of the level and above, in order", async () => {
  const output = new FakeOutput(false);
  const log = startLog({ logLevel: "info", logFormat: "auto" }, output);
  const node = log.logger("node");
  node.debug("not this");
  node.info("one {braces}", { n: 1 });
  log.logger("peer").error("two");
  await log.flush();
  const records = output.text.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(records.map(({ level, category, event, n }) => [level, category, event, n]), [
    ["info", "node", "one {braces}", 1],
    ["error", "peer", "two", undefined],
  ]);
});

Deno.test("startLog: is text on a terminal, and if it is asked for", async () => {
  for (const [terminal, logFormat] of [[true, "auto"], [false, "text"]] as const) {
    const output = new FakeOutput(terminal);
    const log = startLog({ logLevel: "debug", logFormat }, output, false);
    log.logger("node").debug("started", { port: 1 });
    await log.flush();
    assertStringIncludes(output.text, " debug node  started port=1\n");
  }
});

Deno.test("startLog: drops and counts what a slow reader does not take", async () => {
  const output = new FakeOutput(false);
  const gate = Promise.withResolvers<void>();
  output.open = gate.promise;
  const log = startLog({ logLevel: "info", logFormat: "json" }, output);
  const node = log.logger("node");
  const filling = "x".repeat(64 * 1024);
  for (let i = 0; i < 200; i++) node.info("filling", { filling });
  gate.resolve();
  await log.flush();
  const kept = output.text.split(`"event":"filling"`).length - 1;
  assertEquals(kept > 10 && kept < 200, true);
  assertStringIncludes(output.text, `${200 - kept} log records dropped`);
});
