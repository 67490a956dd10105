import { assertEquals, assertThrows } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { WireEntry } from "../../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import {
  decodeValue,
  encodeValue,
  fromWireEntry,
  toWireEntry,
} from "../../../../shared/schema/value_codec.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Over JSON and back, as on the wire. */
function roundTrip(value: Uint8Array): Uint8Array | undefined {
  return decodeValue(JSON.parse(JSON.stringify(encodeValue(value))));
}

Deno.test("encodeValue chooses text for what is valid UTF-8, and base64 for the rest", () => {
  const cases: [Uint8Array, { value: string } | { value64: string }][] = [
    [bytes(""), { value: "" }],
    [bytes("alice"), { value: "alice" }],
    [bytes("žluťoučký 🐎"), { value: "žluťoučký 🐎" }],
    [bytes("\ufeffmark"), { value: "\ufeffmark" }],
    [bytes('{"a":"b"}'), { value: '{"a":"b"}' }],
    [bytes('{"name":"alice","age":7}'), { value: '{"name":"alice","age":7}' }],
    [bytes("tab\tnewline\n"), { value: "tab\tnewline\n" }],
    [new Uint8Array([0xff]), { value64: "/w==" }],
    [new Uint8Array([0xc3]), { value64: "ww==" }],
    [new Uint8Array([0xed, 0xa0, 0x80]), { value64: "7aCA" }],
    [bytes("\ufffd of its own"), { value: "\ufffd of its own" }],
    [new Uint8Array([0xef, 0xbf, 0xbd, 0xff]), { value64: "77+9/w==" }],
    [new Uint8Array([0xef, 0xef, 0xbf, 0xbd]), { value64: "7++/vQ==" }],
    [new Uint8Array([0xef, 0xbf]), { value64: "778=" }],
    [new Uint8Array([0]), { value: "\0" }],
    [new Uint8Array([0x22]), { value: '"' }],
  ];
  for (const [value, fields] of cases) assertEquals(encodeValue(value), fields);
});

Deno.test("encodeValue takes base64 for a long text that JSON would make longer than that", () => {
  const cases: [unit: string, field: string][] = [
    ["plain text ", "value"],
    ["a\n", "value64"],
    ["several\n", "value"],
    ['"', "value64"],
    ["ab\\", "value"],
    ["\u0001234567", "value64"],
    ["\u0001234567890abcdefghi", "value"],
  ];
  for (const [unit, field] of cases) {
    const value = bytes(unit.repeat(Math.ceil(66_000 / unit.length)));
    const fields = encodeValue(value);
    assertEquals(Object.keys(fields), [field], JSON.stringify(unit));
    const jsonLength = JSON.stringify(Object.values(fields)[0]).length;
    assertEquals(jsonLength <= Math.ceil(value.length / 3) * 4 + 2, true, JSON.stringify(unit));
    assertEquals(roundTrip(value), value);
  }
});

Deno.test("decodeValue gives back any bytes that encodeValue was given", () => {
  const random = new SeededRandom(3);
  for (let round = 0; round < 2_000; round++) {
    const bound = round % 2 === 0 ? 256 : 128;
    const length = randomBelow(random, round % 10 === 0 ? 5_000 : 100);
    const value = Uint8Array.from({ length }, () => randomBelow(random, bound));
    assertEquals(roundTrip(value), value);
  }
  for (let unit = 0; unit < 0xd800; unit += 7) {
    const value = bytes(String.fromCharCode(unit));
    assertEquals(roundTrip(value), value);
  }
});

Deno.test("decodeValue encodes part of a larger buffer as that part alone", () => {
  const buffer = new Uint8Array([1, 0xff, 0xfe, 2]);
  assertEquals(roundTrip(buffer.subarray(1, 3)), new Uint8Array([0xff, 0xfe]));
});

Deno.test("decodeValue is undefined if there is no value", () => {
  assertEquals(decodeValue({}), undefined);
});

Deno.test("decodeValue refuses what it could not give back unchanged", () => {
  const cases = [
    { value: "a", value64: "YQ==" },
    { value: "half \ud83d pair" },
    { value64: "YQ" },
    { value64: "YQ=" },
    { value64: "Y===" },
    { value64: "YW Jj" },
    { value64: "YWJ\n" },
    { value64: "YW-_" },
    { value64: "Y=Jj" },
  ];
  for (const fields of cases) {
    const error = assertThrows(() => decodeValue(fields), KvError);
    assertEquals(error.code, "bad_request", JSON.stringify(fields));
  }
});

const ENTRY: Entry = {
  key: "klíč",
  seq: 7,
  term: 3,
  flags: 0,
  timestampMs: 1_700_000_000_000,
  expiresAtMs: 0,
  value: bytes("alice"),
};

Deno.test("fromWireEntry gives back what toWireEntry was given", () => {
  for (const value of [bytes("alice"), bytes(""), new Uint8Array([0xff, 0, 1])]) {
    const wire: WireEntry = JSON.parse(JSON.stringify(toWireEntry({ ...ENTRY, value })));
    assertEquals(fromWireEntry(wire), { ...ENTRY, value });
    const typed = { ...ENTRY, value, contentType: "text/plain; charset=utf-8" };
    const typedWire: WireEntry = JSON.parse(JSON.stringify(toWireEntry(typed)));
    assertEquals(fromWireEntry(typedWire), typed);
  }
});

Deno.test("fromWireEntry refuses an array that is no entry", () => {
  const good = toWireEntry(ENTRY);
  const bad: unknown[] = [null, {}, [], "entry", good.slice(0, 6), [...good, "YQ=="]];
  const wrong: [number, unknown][] = [
    [0, ""],
    [0, 5],
    [0, "\ud800"],
    [1, 0],
    [1, 1.5],
    [2, -1],
    [3, 256],
    [4, null],
    [5, "0"],
    [6, 5],
    [6, "\udc00"],
  ];
  for (const [at, value] of wrong) bad.push(good.map((field, i) => i === at ? value : field));
  const typed = toWireEntry({ ...ENTRY, contentType: "a/b" });
  for (const type of ["", "a", "a/b\r\nX: y", 5, null, `a/${"b".repeat(300)}`]) {
    bad.push([...typed.slice(0, 8), type]);
  }
  bad.push(typed.slice(0, 8), [...typed.slice(0, 7), "YQ==", "a/b"]);
  for (const wire of bad) {
    const error = assertThrows(() => fromWireEntry(wire as WireEntry), KvError);
    assertEquals(error.code, "bad_request", JSON.stringify(wire));
  }
});
