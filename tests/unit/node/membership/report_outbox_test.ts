import { assertEquals } from "@std/assert";
import { type Report, ReportOutbox } from "../../../../node/membership/report_outbox.ts";

function caughtUp(p: number, term: number, node: string): Report {
  return { req_type: "caught_up", p, term, node };
}

function makeOutbox(): { outbox: ReportOutbox; sent: Report[] } {
  const sent: Report[] = [];
  return { outbox: new ReportOutbox((report) => sent.push(report)), sent };
}

Deno.test("ReportOutbox.add: sends a report once, and again for a later term", () => {
  const { outbox, sent } = makeOutbox();
  const [first, later] = [caughtUp(1, 3, "a"), caughtUp(1, 4, "a")];
  for (const report of [first, first, later, later]) outbox.add(report);
  assertEquals(sent, [first, later]);
  assertEquals(outbox.size, 1, "the later one stands for both");
});

Deno.test("ReportOutbox: keeps apart what speaks of other partitions, nodes and things", () => {
  const { outbox, sent } = makeOutbox();
  const reports: Report[] = [
    caughtUp(1, 3, "a"),
    caughtUp(1, 3, "b"),
    caughtUp(2, 3, "a"),
    { req_type: "lagging", p: 1, term: 3, node: "a", reason: "silent" },
    { req_type: "damaged", p: 1, term: 3 },
    { req_type: "drained", p: 1, term: 3 },
  ];
  for (const report of reports) outbox.add(report);
  assertEquals(sent, reports);
  assertEquals(outbox.size, reports.length);
});

Deno.test("ReportOutbox.onTerm: drops what was said of earlier terms of that partition", () => {
  const { outbox, sent } = makeOutbox();
  const [old, current, other] = [caughtUp(1, 3, "a"), caughtUp(1, 4, "b"), caughtUp(2, 3, "a")];
  for (const report of [old, current, other]) outbox.add(report);
  outbox.onTerm(1, 3);
  assertEquals(outbox.size, 3, "a report of the term itself may not have been acted on yet");
  outbox.onTerm(1, 4);
  sent.length = 0;
  outbox.repeat();
  assertEquals(sent, [current, other]);
  outbox.onTerm(1, 5);
  outbox.onTerm(2, 9);
  assertEquals(outbox.size, 0);
});

Deno.test("ReportOutbox.repeat: says everything again, as often as it is asked to", () => {
  const { outbox, sent } = makeOutbox();
  const report = caughtUp(1, 3, "a");
  outbox.add(report);
  outbox.repeat();
  outbox.repeat();
  assertEquals(sent, [report, report, report]);
});

Deno.test("ReportOutbox: what is not true any more is not said again", () => {
  const { outbox, sent } = makeOutbox();
  const drained: Report = { req_type: "drained", p: 1, term: 3 };
  const resumed: Report = { req_type: "resumed", p: 1, term: 3 };
  for (const report of [resumed, drained, resumed]) outbox.add(report);
  assertEquals(sent.splice(0), [resumed, drained, resumed]);
  outbox.repeat();
  assertEquals(sent.splice(0), [resumed], "a primary that serves again has not drained");
  outbox.add(drained);
  outbox.repeat();
  assertEquals(sent, [drained, drained]);
});
