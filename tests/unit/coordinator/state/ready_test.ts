import { assertEquals, assertThrows } from "@std/assert";
import { Outbox, writeLog } from "../../../../coordinator/state/ready.ts";
import { newCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { InvariantError } from "../../../../shared/base/errors.ts";
import type { LogFields } from "../../../../shared/platform/logger.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

Deno.test("Outbox.take: gives everything once, in the order in which it came", () => {
  const out = new Outbox();
  const document = newCluster(SETTINGS);
  out.info("first", { a: 1 });
  out.error("second");
  out.send([1, 2], { req_type: "left" });
  out.send([3], { req_type: "register_again" });
  out.close(4);
  out.persist(document);
  out.publish(document.map);
  out.answer({ asked: true });
  const ready = out.take();
  assertEquals(ready.log.map(({ level, event }) => `${level} ${event}`), [
    "info first",
    "error second",
  ]);
  assertEquals(ready.messages.map(({ sessions }) => sessions), [[1, 2], [3]]);
  assertEquals([ready.closed, ready.document, ready.published, ready.asked], [
    [4],
    document,
    document.map,
    true,
  ]);
  const { log, messages, closed, ...rest } = out.take();
  assertEquals([log, messages, closed], [[], [], []]);
  assertEquals(rest, {
    published: undefined,
    document: undefined,
    refusal: undefined,
    acknowledgement: undefined,
    forced: [],
    orderedEpoch: 0,
    asked: false,
    deaf: false,
  });
});

Deno.test("Outbox.persist: a step has one document at the most", () => {
  const out = new Outbox();
  out.persist(newCluster(SETTINGS));
  assertThrows(() => out.persist(newCluster(SETTINGS)), InvariantError);
});

Deno.test("writeLog: each line goes to its level, with its fields", () => {
  const lines: unknown[] = [];
  const at = (level: string) => (event: string, fields?: LogFields) =>
    void lines.push([level, event, fields]);
  const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const out = new Outbox();
  out.warn("w", { n: 1 });
  out.debug("d");
  writeLog(log, out.take().log);
  assertEquals(lines, [["warn", "w", { n: 1 }], ["debug", "d", undefined]]);
});
