import { assertEquals, assertThrows } from "@std/assert";
import { setOf } from "../../../../coordinator/register/coordinator_set.ts";
import { recover } from "../../../../coordinator/register/recover.ts";
import {
  blankRecord,
  firstRecord,
  parseRecord,
} from "../../../../coordinator/register/register_record.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { RegisterWorld } from "../../../support/worlds/register_world.ts";
import { A, document, generation, stamp } from "./register_samples.ts";

Deno.test("recover: one survivor goes on alone, and the others cannot come back (rule G13)", () => {
  const world = new RegisterWorld(1);
  const [first, second, third] = [world.add(true), world.add(false), world.add(false)];
  world.runUntil(() => {
    if (world.voters().length < 3) world.want(world.slots);
    return world.voters().length === 3;
  }, 20_000);
  world.change();
  world.runFor(2_000);
  for (const slot of world.slots) world.kill(slot);
  const { record, removed, report } = recover(third.disk, { host: "h", port: third.port });
  assertEquals(removed.map(({ id }) => id), ["c1", "c2"]);
  assertEquals(report.length, 4);
  third.disk = record;
  world.start(third);
  world.runUntil(() => world.active() === third, 5_000);
  world.change();
  world.start(first);
  world.start(second);
  world.runFor(10_000);
  assertEquals([first, second].map(({ member }) => member?.role), ["removed", "removed"]);
  assertEquals(world.active()?.member?.chosen?.document.body, world.acknowledged);
  assertEquals(world.acknowledged.length, 2);
});

Deno.test("recover: refuses a folder without a document, and the only coordinator", () => {
  const { address } = A;
  for (const record of [blankRecord<string>("a", "f"), firstRecord(A, "first")]) {
    assertEquals(assertThrows(() => recover(record, address), KvError).code, "bad_request");
  }
});

Deno.test("recover: goes far above every generation that it knows (rule G13)", () => {
  const accepted = { stamp: stamp(4, 9), document: document("nine") };
  const before = { ...blankRecord<string>("a", A.folder), promised: generation(6, "b"), accepted };
  const { record } = recover(before, A.address);
  assertEquals(record.promised?.number, 1_000_006);
  assertEquals(record.accepted?.document, { set: setOf(A), body: "nine" });
  assertEquals(record.accepted?.stamp.revision, 10);
});

Deno.test("parseRecord: reads what was written, and refuses what is damaged", () => {
  const record = firstRecord(A, "first");
  const written = JSON.parse(JSON.stringify(record));
  const parse = (value: unknown) => parseRecord(value, String);
  assertEquals(JSON.stringify(parse(written)), JSON.stringify(record));
  assertEquals(assertThrows(() => parse({ ...written, format: 2 }), KvError).code, "wrong_version");
  for (
    const wrong of [
      undefined,
      [],
      { ...written, folder: "" },
      { ...written, start: -1 },
      { ...written, writes: "1" },
      { ...written, promised: { number: 1 } },
      { ...written, starts: [{}] },
      { ...written, accepted: { stamp: written.accepted.stamp, document: { set: {} } } },
    ]
  ) {
    assertEquals(assertThrows(() => parse(wrong), KvError).code, "corrupt");
  }
});
