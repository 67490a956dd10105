import { assertEquals, assertThrows } from "@std/assert";
import {
  errorReply,
  evaluate,
  isConditional,
  isWrite,
  readReply,
  writeReply,
  type WriteRequest,
} from "../../node/operations.ts";
import { type Entry, NO_VALUE, TOMBSTONE } from "../../shared/entry.ts";
import { KvError } from "../../shared/errors.ts";
import type { KeyRequest } from "../../shared/messages.ts";

const NOW = 1_000;

function entry(change: Partial<Entry> = {}): Entry {
  const value = new TextEncoder().encode("old");
  return {
    key: "k",
    seq: 7,
    term: 1,
    flags: 0,
    timestampMs: 500,
    expiresAtMs: 0,
    value,
    ...change,
  };
}

/** What a key can be, by name. */
const CURRENT = {
  absent: undefined,
  live: entry(),
  deleted: entry({ flags: TOMBSTONE, value: NO_VALUE }),
  expired: entry({ expiresAtMs: NOW }),
  expiring: entry({ expiresAtMs: NOW + 1 }),
};

Deno.test("evaluate: what each write does to each state of its key", () => {
  const states = Object.keys(CURRENT) as (keyof typeof CURRENT)[];
  const table: Record<WriteRequest["req_type"], Record<keyof typeof CURRENT, string>> = {
    put: { absent: "set", live: "set", deleted: "set", expired: "set", expiring: "set" },
    create: { absent: "set", live: "exists", deleted: "set", expired: "set", expiring: "exists" },
    update: {
      absent: "not_found",
      live: "set",
      deleted: "not_found",
      expired: "not_found",
      expiring: "set",
    },
    delete: {
      absent: "not_found",
      live: "tombstone",
      deleted: "not_found",
      expired: "not_found",
      expiring: "tombstone",
    },
  };
  for (const type of ["put", "create", "update", "delete"] as const) {
    for (const state of states) {
      const request: WriteRequest = type === "delete"
        ? { req_type: type, key: "k" }
        : { req_type: type, key: "k", value: "new" };
      const outcome = evaluate(request, CURRENT[state], NOW);
      const wanted = table[type][state];
      const label = `${type} of a key that is ${state}`;
      if ("refusal" in outcome) {
        assertEquals(outcome.refusal.req_type, "error", label);
        assertEquals("code" in outcome.refusal && outcome.refusal.code, wanted, label);
      } else if (wanted === "tombstone") {
        assertEquals(outcome.write, { flags: TOMBSTONE, value: NO_VALUE, expiresAtMs: 0 }, label);
      } else {
        assertEquals(wanted, "set", label);
        const value = new TextEncoder().encode("new");
        assertEquals(outcome.write, { flags: 0, value, expiresAtMs: 0 }, label);
      }
    }
  }
});

Deno.test("evaluate: takes a value as text or base64, and refuses none and nonsense", () => {
  const put = (fields: { value?: string; value64?: string }) =>
    evaluate({ req_type: "put", key: "k", ...fields }, undefined, NOW);
  const written = (fields: { value?: string; value64?: string }) => {
    const outcome = put(fields);
    return "write" in outcome ? [...outcome.write.value] : outcome.refusal;
  };
  assertEquals(written({ value: "é" }), [0xc3, 0xa9]);
  assertEquals(written({ value: "" }), []);
  assertEquals(written({ value64: "/w==" }), [0xff]);
  assertEquals(written({}), errorReply("bad_request", 'put: "value" is missing'));
  assertThrows(() => put({ value64: "%" }), KvError);
});

Deno.test("evaluate: a refusal comes before a look at the value", () => {
  const outcome = evaluate({ req_type: "update", key: "k" }, undefined, NOW);
  assertEquals(outcome, { refusal: errorReply("not_found", 'update: no such key "k"') });
});

Deno.test("readReply: what a get answers", () => {
  const read = (current: Entry | undefined) =>
    readReply({ req_type: "get", key: "k" }, current, NOW);
  const missing = errorReply("not_found", 'get: no such key "k"');
  const found = { req_type: "data" as const, message: "old", version: 7, timestamp: 500 };
  assertEquals(read(CURRENT.absent), missing);
  assertEquals(read(CURRENT.deleted), missing);
  assertEquals(read(CURRENT.expired), missing);
  assertEquals(read(CURRENT.live), found);
  assertEquals(read(CURRENT.expiring), { ...found, expires_at: NOW + 1 });
  assertEquals(read(entry({ value: Uint8Array.of(0xff) })), {
    ...found,
    message: "",
    value64: "/w==",
  });
});

Deno.test("readReply: what an exists answers", () => {
  const exists = (current: Entry | undefined) =>
    readReply({ req_type: "exists", key: "k" }, current, NOW);
  for (const [state, current] of Object.entries(CURRENT)) {
    const result = state === "live" || state === "expiring";
    assertEquals(exists(current), { req_type: "result", result }, state);
  }
});

Deno.test("isWrite and isConditional: by type", () => {
  const table: [type: KeyRequest["req_type"], write: boolean, conditional: boolean][] = [
    ["put", true, false],
    ["update", true, true],
    ["create", true, true],
    ["delete", true, true],
    ["get", false, false],
    ["exists", false, false],
    ["watch_get", false, false],
  ];
  for (const [type, write, conditional] of table) {
    const request: KeyRequest = { req_type: type, key: "k" };
    assertEquals(isWrite(request), write, type);
    if (isWrite(request)) assertEquals(isConditional(request), conditional, type);
  }
});

Deno.test("writeReply and errorReply: say what happened; a long key is cut short", () => {
  assertEquals(writeReply(3), { req_type: "ack", message: "success", version: 3 });
  assertEquals(errorReply("exists", "no", { a: 1 }), {
    req_type: "error",
    code: "exists",
    message: "no",
    detail: { a: 1 },
  });
  const reply = readReply({ req_type: "get", key: "x".repeat(1_000) }, undefined, NOW);
  assertEquals(reply.req_type === "error" && reply.message.length < 120, true);
});
