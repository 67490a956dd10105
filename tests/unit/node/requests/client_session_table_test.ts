import { assert, assertEquals } from "@std/assert";
import { type Entry, NO_VALUE, TOMBSTONE } from "../../../../shared/base/entry.ts";
import { CLIENT_SESSION_BYTES } from "../../../../shared/limits/requests.ts";
import {
  ClientSessionCounts,
  ClientSessionTable,
} from "../../../../node/requests/client_session_table.ts";

const BYTES = 90;

function entry(key: string, seq: number, bytes = BYTES): Entry {
  const value = new Uint8Array(bytes - key.length);
  return { key, seq, term: 1, flags: 0, timestampMs: 0, expiresAtMs: 0, value };
}

function table(max: number): { table: ClientSessionTable; counts: ClientSessionCounts } {
  const counts = new ClientSessionCounts();
  const made = new ClientSessionTable(max, counts);
  made.beginEmpty();
  return { table: made, counts };
}

function evict(table: ClientSessionTable, keys: readonly string[], seq: number): void {
  for (const key of keys) table.note({ ...entry(key, seq++), flags: TOMBSTONE, value: NO_VALUE });
}

Deno.test("ClientSessionTable: the session whose last request is the longest ago goes", () => {
  const { table: sessions, counts } = table(3);
  for (const [i, key] of ["a", "b", "c"].entries()) sessions.note(entry(key, i + 1));
  sessions.note(entry("a", 4));
  const eviction = sessions.evictionFor("d", BYTES, 4);
  assertEquals(eviction, { keys: ["b"], evictedSeq: 2 });
  sessions.note(entry("d", 5));
  evict(sessions, ["b"], 6);
  assertEquals([sessions.count, sessions.evictedSeq, counts.evicted], [3, 2, 1]);
  // A session that is known takes no other's place.
  assertEquals(sessions.evictionFor("c", BYTES, 6), { keys: [], evictedSeq: 2 });
  assertEquals(sessions.evictionFor("b", BYTES, 6), { keys: ["c"], evictedSeq: 3 });
});

Deno.test("ClientSessionTable: what is not committed is not evicted", () => {
  const { table: sessions } = table(2);
  sessions.note(entry("a", 1));
  sessions.note(entry("b", 2));
  assertEquals(sessions.evictionFor("c", BYTES, 0), undefined);
  assertEquals(sessions.evictionFor("c", BYTES, 1)?.keys, ["a"]);
});

Deno.test("ClientSessionTable: long answers count by their bytes, and the last session stays", () => {
  const { table: sessions } = table(2);
  const room = 2 * CLIENT_SESSION_BYTES;
  sessions.note(entry("a", 1));
  sessions.note(entry("b", 2));
  assertEquals(sessions.evictionFor("b", room - BYTES, 2)?.keys, []);
  assertEquals(sessions.evictionFor("b", room, 2)?.keys, ["a"]);
  assertEquals(sessions.evictionFor("c", 10 * room, 2), { keys: ["a", "b"], evictedSeq: 2 });
  assertEquals(sessions.evictionFor("a", 10 * room, 2), { keys: ["b"], evictedSeq: 2 });
});

Deno.test("ClientSessionTable: if the entries cannot be read, all of them count as evicted", () => {
  const sessions = new ClientSessionTable(2, new ClientSessionCounts());
  assert(!sessions.known);
  sessions.giveUp(7);
  assert(sessions.known);
  assertEquals([sessions.count, sessions.evictedSeq], [undefined, 7]);
});
