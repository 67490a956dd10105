import { assert, assertEquals, assertRejects } from "@std/assert";
import { runBackup } from "../../../../client/backup/backup_run.ts";
import { openBackup } from "../../../../client/backup/backup_reader.ts";
import type { KeyRouter } from "../../../../client/calls/call.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { toWireEntry } from "../../../../shared/schema/value_codec.ts";
import { fakeMap } from "../../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

const PARTITIONS = fakeMap().settings.partitionCount;
const KEYS = Array.from({ length: 200 }, (_, i) => `key ${i}`).sort();
const PAGE_KEYS = 5;

type Ask = Message<"backup_partition"> & { node: string };

/** Nodes that answer from a list of keys, page by page, or as they are told. */
function setUp(fault: (ask: Ask, count: number) => Reply | undefined = () => undefined) {
  const clock = new ManualClock();
  const map = fakeMap();
  const asked: Ask[] = [];
  let refreshes = 0;
  const router: KeyRouter = {
    map: () => map,
    refresh: () => {
      refreshes++;
      return Promise.resolve(map);
    },
    execute: () => () => {},
    request: (node, message, _timeoutMs, done) => {
      const ask = { ...message, node } as Ask;
      asked.push(ask);
      const reply = fault(ask, asked.length) ?? pageOf(ask);
      queueMicrotask(() => done(reply));
    },
    close: () => {},
  };
  const run = async (giveUpAfterMs = 5_000) => {
    const pieces: Uint8Array[] = [];
    let settled = false;
    const making = runBackup({ clock, router }, (bytes) => {
      pieces.push(bytes);
      return Promise.resolve();
    }, { giveUpAfterMs });
    making.then(() => settled = true, () => settled = true);
    while (!settled) {
      await clock.run(10);
      // Compression is the platform's, in its own time.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const summary = await making;
    const file = new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    assertEquals(summary.bytes, file.length);
    const backup = await openBackup({
      bytes: file.length,
      read: (at, length) => Promise.resolve(file.slice(at, at + length)),
    });
    const keys: string[] = [];
    for (let p = 0; p < PARTITIONS; p++) {
      for await (const entries of backup.read(p)) keys.push(...entries.map(({ key }) => key));
    }
    return { summary, backup, keys: keys.sort() };
  };
  return { clock, asked, run, refreshes: () => refreshes };
}

function pageOf({ partition, snapshot }: Ask): Reply {
  const keys = KEYS.filter((key) => partitionOf(key, PARTITIONS) === partition);
  const [seq = "7", at = "0"] = (snapshot ?? "").split(".").filter((part) => part !== "");
  const from = Number(at);
  const value = new TextEncoder().encode(seq);
  const times = { timestampMs: 1, expiresAtMs: 0 };
  const entries = keys.slice(from, from + PAGE_KEYS).map((key) =>
    toWireEntry({ key, seq: 1, term: 1, flags: 0, ...times, value })
  );
  const next = from + PAGE_KEYS < keys.length ? { next: `${seq}.${from + PAGE_KEYS}` } : {};
  return { req_type: "entries", entries, ...next, seq: Number(seq), term: 1 };
}

function error(code: Message<"error">["code"]): Reply {
  return { req_type: "error", code, message: `failed with ${code}` };
}

Deno.test("runBackup writes every partition, each from one snapshot of its primary", async () => {
  const { asked, run } = setUp();
  const { summary, backup, keys } = await run();
  assertEquals(keys, KEYS);
  assertEquals([summary.partitions, summary.entries, summary.restarts], [PARTITIONS, 200, 0]);
  assertEquals(backup.sections.every(({ seq, term }) => seq === 7 && term === 1), true);
  const map = fakeMap();
  for (const { node, partition } of asked) assertEquals(node, map.partitions[partition]?.primary);
});

Deno.test("runBackup begins a partition anew if its snapshot is lost, whatever the reason", async () => {
  for (const code of ["unavailable", "outcome_unknown", "timeout", "not_primary"] as const) {
    let failures = 0;
    const { asked, run, refreshes } = setUp(({ partition, snapshot }) =>
      partition === 2 && snapshot !== undefined && failures++ < 3 ? error(code) : undefined
    );
    const { summary, backup, keys } = await run();
    assertEquals(keys, KEYS, code);
    assertEquals([summary.entries, summary.restarts], [200, 3]);
    assertEquals(backup.sections[2]?.attempt, 4);
    const ofIt = asked.filter(({ partition }) => partition === 2);
    assertEquals(ofIt.filter(({ snapshot }) => snapshot === undefined).length, 4);
    assert(refreshes() >= 4);
  }
});

Deno.test("runBackup gives up after a time without progress, and at once if it makes no sense", async () => {
  const hopeless = setUp(({ partition }) => partition === 5 ? error("unavailable") : undefined);
  const late = await assertRejects(() => hopeless.run(500), KvError, "gave up reading partition 5");
  assertEquals(late.code, "unavailable");
  assert(hopeless.clock.monotonicMs() >= 500);
  const refused = setUp(({ partition }) => partition === 5 ? error("bad_request") : undefined);
  assertEquals((await assertRejects(() => refused.run(), KvError)).code, "bad_request");
});
