import { assert, assertEquals } from "@std/assert";
import {
  COMPACTION_INTERVAL_MS,
  COMPACTION_REST_FACTOR,
} from "../../../../shared/limits/storage.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type {} from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import { Compaction, compactionWaste } from "../../../../node/maintenance/compaction.ts";
import { Retries } from "../../../../node/replication/retries.ts";

const PARTITIONS = 4;
const WASTE = compactionWaste(PARTITIONS);

/** A database whose partitions take as much space as is said, and a node around it. */
class Stage {
  nowMs = 0;
  diskWell = true;
  readonly live: (number | undefined)[] = [0, 0, 0, 0];
  readonly sizes = [0, 0, 0, 0];
  readonly done: number[] = [];
  tookMs = 100;
  failure: KvError | undefined;
  readonly retries = new Retries(NO_LOG, () => this.nowMs);
  readonly compaction = new Compaction({
    storage: {
      sizeOf: (from) =>
        Promise.resolve(from.length === 0 ? this.sizes.reduce((a, b) => a + b) : this.size(from)),
      compact: (from) => this.#compact(from),
    },
    retries: this.retries,
    log: NO_LOG,
    nowMs: () => this.nowMs,
    isDiskWell: () => this.diskWell,
    partitionCount: () => PARTITIONS,
    liveBytes: (partition) => this.live[partition],
  });

  size(from: Uint8Array): number {
    return this.sizes[from[1] ?? 0] ?? 0;
  }

  #compact(from: Uint8Array): Promise<void> {
    this.nowMs += this.tookMs;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const partition = from[1] ?? 0;
    this.done.push(partition);
    this.sizes[partition] = this.live[partition] ?? 0;
    return Promise.resolve();
  }

  /** One tick, and all that it began. */
  async tick(): Promise<void> {
    this.compaction.tick(this.nowMs);
    for (let i = 0; i < 100; i++) await Promise.resolve();
  }
}

Deno.test("Compaction: a partition with more than twice its rows and its share of waste is rewritten, others are not", async () => {
  const stage = new Stage();
  stage.live.splice(0, 4, 1_000, 1_000, undefined, 0);
  stage.sizes.splice(0, 4, 2_000 + WASTE, 2_001 + WASTE, 10 * WASTE, WASTE);
  await stage.tick();
  assertEquals(stage.done, [1]);
  assertEquals(stage.compaction.stats(), {
    database_bytes: 3_000 + 12 * WASTE,
    compacted: 1,
    reclaimed_bytes: 1_001 + WASTE,
  });
});

Deno.test("Compaction: it rests after each partition, and longer when nothing is to be done", async () => {
  const stage = new Stage();
  stage.sizes.fill(WASTE + 1);
  await stage.tick();
  assertEquals(stage.done, [0]);
  stage.nowMs += COMPACTION_REST_FACTOR * stage.tookMs - 1;
  await stage.tick();
  assertEquals(stage.done, [0]);
  stage.nowMs++;
  await stage.tick();
  assertEquals(stage.done, [0, 1]);
  for (let i = 0; i < 3; i++) {
    stage.nowMs += COMPACTION_REST_FACTOR * stage.tookMs;
    await stage.tick();
  }
  assertEquals(stage.done, [0, 1, 2, 3]);
  stage.sizes.fill(WASTE + 1);
  stage.nowMs += COMPACTION_INTERVAL_MS - 1;
  await stage.tick();
  assertEquals(stage.done.length, 4);
  stage.nowMs++;
  await stage.tick();
  assertEquals(stage.done.length, 5);
});

Deno.test("Compaction: nothing is rewritten while the disk is failing, or after the end", async () => {
  const stage = new Stage();
  stage.sizes.fill(WASTE + 1);
  stage.diskWell = false;
  await stage.tick();
  assertEquals(stage.done, []);
  stage.diskWell = true;
  stage.compaction.stop();
  await stage.tick();
  assertEquals(stage.done, []);
});

Deno.test("Compaction: one that fails is tried again later, and told of; the others have their turn", async () => {
  const stage = new Stage();
  stage.sizes.splice(0, 2, WASTE + 1, WASTE + 1);
  stage.failure = new KvError("storage_failed", "no space");
  for (let i = 0; i < 40; i++) {
    await stage.tick();
    stage.nowMs += COMPACTION_INTERVAL_MS;
  }
  assertEquals(stage.retries.shown().map(({ what, partition }) => [what, partition]), [
    ["give space back", 0],
    ["give space back", 1],
  ]);
  stage.failure = undefined;
  for (let i = 0; i < 40 && stage.done.length < 2; i++) {
    stage.nowMs += COMPACTION_INTERVAL_MS;
    await stage.tick();
  }
  assertEquals(stage.done.toSorted(), [0, 1]);
  assertEquals(stage.retries.shown(), []);
  assert(stage.compaction.stats().compacted === 2);
});
