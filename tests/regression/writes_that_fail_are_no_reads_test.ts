/**
 * A replica whose disk refused writes for half a minute while it was being filled was given up as one that cannot be read,
 * and all that it had was deleted. Found by the simulation (seed 1600049).
 */
import { assertEquals } from "@std/assert";
import { Replica } from "../../node/replication/replica.ts";
import { KvError } from "../../shared/base/errors.ts";
import { READ_FAILURE_MS_MAX, READ_FAILURES_MAX } from "../../shared/limits/replication.ts";
import { RecordingNode } from "../support/doubles/recording_ports.ts";

Deno.test("what fails while the disk refuses writes does not count as reads that fail", async () => {
  const node = new RecordingNode();
  let diskFailingMs = 1;
  const owner = {
    ...node.ports,
    diskFailingMs: () => diskFailingMs,
    recentWritesMax: 16,
    replicas: () => 3,
    notPrimary: () => ({ req_type: "ack", message: "" }) as const,
  };
  const replica = new Replica(owner, node.store, false);
  await node.settle();
  const refused = new KvError("storage_failed", "the disk is full");
  const fail = async (times: number) => {
    let isGivenUp = false;
    for (let i = 0; i < times && !isGivenUp; i++) {
      isGivenUp = replica.onReadFailed("take what the primary sends", refused);
      await node.clock.advance(READ_FAILURE_MS_MAX / 4);
    }
    return isGivenUp;
  };
  assertEquals(await fail(4 * READ_FAILURES_MAX), false);
  assertEquals(replica.damaged, false);
  // The disk takes writes again, and reads fail by themselves: they are counted from here on.
  diskFailingMs = 0;
  assertEquals(await fail(READ_FAILURES_MAX - 1), false);
  assertEquals(await fail(1), true);
  assertEquals(replica.damaged, true);
});
