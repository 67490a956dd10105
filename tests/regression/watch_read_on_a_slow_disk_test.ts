/**
 * What is read for a watcher is told when all of it is committed. The time for that was counted from before the reading:
 * if the disk took longer than that, or the node was no primary any more when the page came, the question was never
 * answered, and its reading kept its place. After four of these nobody was read for on this node. Found by seed 1821149
 * of the storm `coordinators`.
 */
import { assertEquals } from "@std/assert";
import { NodeWatch } from "../../node/watch/node_watch.ts";
import type { Primary } from "../../node/replication/primary.ts";
import { WATCH_READ_MS } from "../../shared/limits/scans.ts";
import { BEGINNING } from "../../shared/watch/watch_position.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const SCAN_MS = 2 * WATCH_READ_MS;

/** A primary with a write that is not committed, on a disk that is slow. */
function slowPrimary(clock: ManualClock): Primary {
  const state = { commitSeq: 5, lastSeq: 6, watermark: 0 };
  const scan = () =>
    new Promise((resolve) =>
      clock.setTimer(SCAN_MS, () => resolve({ entries: [], next: undefined, asOfSeq: 6 }))
    );
  return {
    partition: 0,
    phase: "serving",
    config: {},
    store: { state, scan },
    recent: { since: () => undefined },
  } as unknown as Primary;
}

for (const isPrimaryStill of [true, false]) {
  const when = isPrimaryStill ? "has its page late" : "is no primary any more when it has its page";
  Deno.test(`a node that reads for a watcher, and ${when}, answers`, async () => {
    const clock = new ManualClock();
    let primary: Primary | undefined = slowPrimary(clock);
    const watch = new NodeWatch({
      clock,
      partitionCount: () => 1,
      primary: () => primary,
      onDamaged: () => {},
    });
    const answers: unknown[] = [];
    watch.poll(
      {
        selection: { prefixes: [""] },
        positions: new Map([[0, BEGINNING]]),
        isAbandoned: () => false,
      },
      1_000,
      (answer) => answers.push("refused" in answer ? answer.refused : answer),
    );
    await clock.run(SCAN_MS / 2);
    if (!isPrimaryStill) {
      primary = undefined;
      watch.onPrimaryLost(0);
    }
    await clock.run(2 * SCAN_MS);
    assertEquals(answers, [[0]]);
    assertEquals(watch.stats().polls, 0);
  });
}
