/**
 * A backup of a partition whose snapshot was lost again and again after its first pages (too many were
 * open, or a page took too long) never ended, and its file grew: the same first pages counted as
 * progress each time. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { runBackup } from "../../client/backup/backup_run.ts";
import type { KeyRouter } from "../../client/calls/call.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import { fakeMap } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const GIVE_UP_MS = 500;
const TROUBLED = 5;

/** Backs up a cluster of which one partition's snapshot is lost behind a number of pages, attempt by attempt. */
async function backup(pagesOf: (attempt: number) => number) {
  const clock = new ManualClock();
  const map = fakeMap();
  const times = { timestampMs: 1, expiresAtMs: 0 };
  const entry = toWireEntry({
    ...{ key: "k", seq: 1, term: 1, flags: 0, value: new Uint8Array(1) },
    ...times,
  });
  let attempts = 0;
  const page = ({ partition, snapshot }: Message<"backup_partition">): Reply => {
    if (partition !== TROUBLED) return { req_type: "entries", entries: [], seq: 7, term: 1 };
    const at = snapshot === undefined ? 0 : Number(snapshot.split(".")[1]);
    if (at === 0) attempts++;
    if (at >= pagesOf(attempts)) {
      return { req_type: "error", code: "unavailable", message: "the snapshot is gone" };
    }
    return { req_type: "entries", entries: [entry], next: `7.${at + 1}`, seq: 7, term: 1 };
  };
  const router: KeyRouter = {
    map: () => map,
    refresh: () => Promise.resolve(map),
    execute: () => () => {},
    request: (_node, message, _timeoutMs, done) => {
      const reply = page(message as Message<"backup_partition">);
      queueMicrotask(() => done(reply));
    },
    close: () => {},
  };
  let end: unknown;
  runBackup({ clock, router }, () => Promise.resolve(), { giveUpAfterMs: GIVE_UP_MS })
    .then(() => end = "done", (error) => end = error.code);
  while (end === undefined && clock.monotonicMs() < 100 * GIVE_UP_MS) {
    await clock.run(20);
    // Compression is the platform's, in its own time.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return { end, ms: clock.monotonicMs() };
}

Deno.test("runBackup gives up on a partition of which it always gets the same first pages", async () => {
  const { end, ms } = await backup(() => 3);
  assertEquals(end, "unavailable");
  assert(ms < 3 * GIVE_UP_MS, `after ${ms} ms`);
});

Deno.test("runBackup does not give up while attempts come further and further", async () => {
  const { end, ms } = await backup((attempt) => Math.min(attempt, 40));
  assertEquals(end, "unavailable");
  assert(ms > 10 * GIVE_UP_MS, `after ${ms} ms`);
});
