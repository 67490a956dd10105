import { assertEquals, assertExists } from "@std/assert";
import { RecordWriter } from "../../../../coordinator/register/record_writer.ts";
import {
  blankRecord,
  type RegisterRecord,
} from "../../../../coordinator/register/register_record.ts";
import { COORDINATOR_DISK_RETRY_MS } from "../../../../shared/limits/membership.ts";

const FOLDER = "f1";

function writer() {
  const blank = blankRecord<string>("c1", FOLDER);
  const make = (writes: number): RegisterRecord<string> => ({ ...blank, writes });
  return { disk: new RecordWriter<string>(blank), make };
}

Deno.test("RecordWriter: what waits is done when what was known then is on disk, and not before", () => {
  const { disk, make } = writer();
  const done: string[] = [];
  disk.afterWrite(() => done.push("first"));
  assertExists(disk.begin(0, make));
  assertEquals(disk.begin(0, make), undefined, "one write at a time");
  disk.afterWrite(() => done.push("same write"));
  disk.changed();
  disk.afterWrite(() => done.push("next write"));
  assertEquals([done, disk.isStarted, disk.writes], [[], false, 0]);
  disk.written(FOLDER);
  assertEquals([done, disk.isStarted, disk.writes], [["first", "same write"], true, 1]);
  assertEquals(disk.begin(0, make)?.writes, 2);
  disk.written(FOLDER);
  disk.afterWrite(() => done.push("at once"));
  assertEquals(done, ["first", "same write", "next write", "at once"]);
  assertEquals(disk.begin(0, make), undefined, "nothing has changed");
});

Deno.test("RecordWriter: a write that fails is tried again after a while, with all that waits for it", () => {
  const { disk, make } = writer();
  const done: string[] = [];
  disk.begin(0, make);
  disk.afterWrite(() => done.push("a"));
  disk.changed();
  disk.afterWrite(() => done.push("b"));
  assertEquals([disk.failed(10), disk.failed(10)], [true, false]);
  assertEquals(disk.begin(10 + COORDINATOR_DISK_RETRY_MS - 1, make), undefined);
  assertEquals(disk.begin(10 + COORDINATOR_DISK_RETRY_MS, make)?.writes, 2);
  assertEquals(done, []);
  disk.written(FOLDER);
  assertEquals([done, disk.writes], [["a", "b"], 2]);
});

Deno.test("RecordWriter: what the former folder was asked is not done by the write that was under way", () => {
  const { disk, make } = writer();
  const done: string[] = [];
  disk.begin(0, make);
  disk.afterWrite(() => done.push("in that write"));
  disk.changed();
  disk.afterWrite(() => done.push("in the next one"));
  disk.beginAnew();
  disk.written("another");
  assertEquals([done, disk.at], [[], undefined]);
  assertEquals(disk.begin(0, make)?.writes, 2, "the new folder is to be written");
});
