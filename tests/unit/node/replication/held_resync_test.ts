import { assertEquals } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { RESYNC_HELD_BYTES_MAX } from "../../../../shared/limits/replication.ts";
import { toWireEntry } from "../../../../shared/schema/value_codec.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { HeldResync } from "../../../../node/replication/held_resync.ts";
import { entry } from "../../../support/doubles/recording_ports.ts";

function chunk(entries: readonly Entry[], absent?: readonly string[]): Message<"resync_chunk"> {
  return {
    req_type: "resync_chunk",
    p: 0,
    term: 1,
    stream: 1,
    seq: 9,
    full: false,
    entries: entries.map(toWireEntry),
    ...(absent === undefined ? {} : { absent }),
  };
}

/** Which write of each key is to be stored, and what is to be removed. */
function outcome(held: HeldResync, stored: readonly Entry[], unacknowledged: readonly string[]) {
  const { entries, removed } = held.outcome(
    (key) => stored.find((entry) => entry.key === key),
    new Set(unacknowledged),
  );
  return [entries.map(({ key, seq }) => `${key}@${seq}`), removed];
}

Deno.test("HeldResync.outcome: a piece gives way to what is newer, unless that may never have been acknowledged", () => {
  const held = new HeldResync();
  held.pushChunk(chunk([entry("newer", 3), entry("older", 3), entry("doubted", 3)]));
  const stored = [entry("newer", 2), entry("older", 4), entry("doubted", 4)];
  assertEquals(outcome(held, stored, ["doubted"]), [["newer@3", "doubted@3"], []]);
});

Deno.test("HeldResync.outcome: a live write stands against every piece, whichever comes first", () => {
  const held = new HeldResync();
  held.pushWrites([entry("a", 8), entry("gone", 10)]);
  held.pushChunk(chunk([entry("a", 3)], ["gone"]));
  held.pushWrites([entry("a", 11)]);
  assertEquals(outcome(held, [], ["a", "gone"]), [["a@11", "gone@10"], []]);
});

Deno.test("HeldResync.outcome: what the primary does not have goes, unless it is newer than the piece and not doubted", () => {
  const held = new HeldResync();
  held.pushChunk(chunk([], ["doubted", "deleted", "newer", "never here"]));
  const stored = [entry("doubted", 11), entry("deleted", 4), entry("newer", 10)];
  assertEquals(outcome(held, stored, ["doubted"]), [[], ["doubted", "deleted"]]);
});

Deno.test("HeldResync.isTooMuch: counts keys and values of pieces and writes alike", () => {
  const value = new Uint8Array(RESYNC_HELD_BYTES_MAX / 2 - 1).fill(97);
  const held = new HeldResync();
  held.pushWrites([{ ...entry("a", 1), value }]);
  held.pushChunk(chunk([{ ...entry("b", 2), value }]));
  assertEquals(held.isTooMuch, false);
  held.pushWrites([{ ...entry("c", 3), value: new Uint8Array(0) }]);
  assertEquals(held.isTooMuch, true);
});
