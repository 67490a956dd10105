import { assertEquals } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import type { PartitionStore } from "../../../../node/storage/partition_store.ts";
import { SelfCheck, VERIFY } from "../../../../node/replication/self_check.ts";
import { RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** A check of a store whose comparison ends when the test says so, and what it has said. */
function setUp() {
  const { ports } = new RecordingNode();
  const ends: { sound(is: boolean): void; fail(error: unknown): void }[] = [];
  const verify = () =>
    new Promise<boolean>((resolve, reject) => ends.push({ sound: resolve, fail: reject }));
  const check = new SelfCheck({ partition: 0, verify } as unknown as PartitionStore, ports.retries);
  const said: string[] = [];
  const begin = (name: string) =>
    check.begin(
      (fault) => said.push(`${name}: ${fault?.code ?? "sound"}`),
      (error) => said.push(`${name}: ${error}`),
    );
  return { check, ends, said, begin, ports };
}

Deno.test("SelfCheck: one comparison at a time, and the next once it has ended", async () => {
  const { check, ends, said, begin } = setUp();
  begin("first");
  begin("second");
  assertEquals([ends.length, check.isRunning], [1, true]);
  ends[0]?.sound(true);
  await Promise.resolve();
  assertEquals([said, check.isRunning], [["first: sound"], false]);
  begin("third");
  ends[1]?.sound(false);
  await Promise.resolve();
  assertEquals(said, ["first: sound", "third: corrupt"]);
});

Deno.test("SelfCheck: what cannot be read is no fault of the data, and is still to be tried again", async () => {
  const { check, ends, said, begin, ports } = setUp();
  for (let i = 0; i < 3; i++) {
    ports.retries.failed(VERIFY, 0, new KvError("storage_failed", "read"));
  }
  begin("first");
  ends[0]?.fail("unreadable");
  await Promise.resolve();
  assertEquals([said, check.isRunning, ports.retries.shown().length], [
    ["first: unreadable"],
    false,
    1,
  ]);
  begin("second");
  ends[1]?.sound(true);
  await Promise.resolve();
  assertEquals(ports.retries.shown().length, 0);
});
