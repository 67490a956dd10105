import { assertEquals, assertThrows } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { versionOf } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { fromWireEntry, toWireEntry } from "../../../../shared/schema/value_codec.ts";
import type { WireEntry } from "../../../../shared/schema/reply_messages.ts";
import { decodeRecord, encodeRecord } from "../../../../node/storage/record.ts";
import {
  changesOf,
  decisionChange,
  decisionOf,
  intentChange,
  intentOf,
} from "../../../../node/transactions/intent_rows.ts";
import type { Change } from "../../../../node/requests/request_dedup.ts";

function entryOf({ key, write }: Change, seq = 7): Entry {
  return { key, seq, term: 1, timestampMs: 1_000, ...write };
}

const VALUE = Uint8Array.of(0, 255, 10, 13);

Deno.test("intentChange: what it says is read again, values byte by byte", () => {
  const writes = new Map([
    ["a", { flags: 0, value: VALUE, expiresAtMs: 5_000, contentType: "text/plain" }],
    ["é", { flags: 1, value: new Uint8Array(0), expiresAtMs: 0 }],
    ["c", { flags: 0, value: new Uint8Array(70_000).fill(7), expiresAtMs: 0 }],
  ]);
  const entry = entryOf(intentChange("n.1", "lead", ["a", "é", "c", "d"], writes));
  assertEquals(intentOf(entry), {
    attempt: "n.1",
    seq: 7,
    wallMs: 1_000,
    leader: "lead",
    keys: ["a", "é", "c", "d"],
  });
  const changes = changesOf(entry);
  assertEquals(changes.map(({ key, version }) => [key, version]), [["a", 7], ["é", 7], ["c", 7]]);
  assertEquals(
    changes.map(({ write }) => ({ ...write })),
    [...writes.values()].map((write) => ({ contentType: undefined, ...write })),
  );
});

Deno.test("intentOf: a value that is no intent is damage", () => {
  const good = entryOf(intentChange("n.1", "lead", ["a"], new Map()));
  for (const value of [new Uint8Array(0), Uint8Array.of(0, 0, 0), good.value.slice(0, 9)]) {
    const error = assertThrows(() => intentOf({ ...good, value }), KvError);
    assertEquals(error.code, "corrupt");
  }
});

Deno.test("decisionChange: names participants and intents", () => {
  const entry = entryOf(decisionChange("n.1", [["a", 5], ["b", 6]]));
  assertEquals(decisionOf(entry), { attempt: "n.1", seq: 7, parts: [["a", 5], ["b", 6]] });
  assertEquals(
    assertThrows(() => decisionOf({ ...entry, value: VALUE }), KvError).code,
    "corrupt",
  );
});

Deno.test("a version that is not the seq is kept on disk and on the wire, with and without a content type", () => {
  const plain: Entry = {
    key: "k",
    seq: 9,
    term: 2,
    flags: 0,
    timestampMs: 3,
    expiresAtMs: 0,
    value: VALUE,
  };
  for (
    const entry of [plain, { ...plain, version: 4 }, { ...plain, version: 4, contentType: "a/b" }]
  ) {
    const { key, value } = encodeRecord(3, entry);
    assertEquals(decodeRecord(key, value), entry);
    assertEquals(fromWireEntry(JSON.parse(JSON.stringify(toWireEntry(entry)))), entry);
    assertEquals(versionOf(entry), entry === plain ? 9 : 4);
  }
  const text = { ...plain, value: new TextEncoder().encode("text"), version: 4 };
  assertEquals(fromWireEntry(toWireEntry(text)), text);
  for (const version of [0, -1, "4", null]) {
    const wire = ["k", 9, 2, 0, 3, 0, "", null, "", version] as unknown as WireEntry;
    assertThrows(() => fromWireEntry(wire), KvError);
  }
});
