import { assertEquals } from "@std/assert";
import {
  formatDuration,
  parseDate,
  parseDuration,
  parseField,
} from "../../../../shared/arguments/field_text.ts";
import {
  array,
  date,
  duration,
  type Field,
  flag,
  number,
  oneOf,
  text,
  uint,
} from "../../../../shared/schema/fields.ts";

const FIELDS: [form: string, field: Field<unknown>, word: string, value: unknown][] = [
  ["text", text, "", ""],
  ["text", text, "a b", "a b"],
  ["uint", uint, "0", 0],
  ["uint", uint, "9007199254740991", 2 ** 53 - 1],
  ["uint", uint, "9007199254740992", undefined],
  ["uint", uint, "-1", undefined],
  ["uint", uint, "1.0", undefined],
  ["uint", uint, "1e3", undefined],
  ["uint", uint, " 1", undefined],
  ["uint", uint, "0x10", undefined],
  ["uint", uint, "", undefined],
  ["uint", uint, "١", undefined],
  ["number", number, "-1.5e3", -1500],
  ["number", number, "Infinity", undefined],
  ["number", number, "nan", undefined],
  ["flag", flag, "true", true],
  ["flag", flag, "0", false],
  ["flag", flag, "yes", undefined],
  ["choice", oneOf("nx", "xx"), "NX", "nx"],
  ["choice", oneOf("nx", "xx"), "n", undefined],
  ["duration", duration, "1500", 1500],
  ["duration", duration, "1.5s", 1500],
  ["date", date, "1700000000000", 1_700_000_000_000],
  ["date", date, "2023-11-14T22:13:20Z", 1_700_000_000_000],
  ["document", array(), "[1]", [1]],
  ["document", array(), "{}", undefined],
  ["document", array(), "[", undefined],
];

for (const [form, field, word, value] of FIELDS) {
  Deno.test(`parseField: ${form} ${JSON.stringify(word)}`, () => {
    assertEquals(parseField(field, word), value);
  });
}

Deno.test("parseDuration: units from large to small, each once", () => {
  const table: [string, number | undefined][] = [
    ["10m", 600_000],
    ["1h30m", 5_400_000],
    ["2w1d", 15 * 86_400_000],
    ["500ms", 500],
    ["0s", 0],
    ["0.5ms", 1],
    ["10", undefined],
    ["m", undefined],
    ["30m1h", undefined],
    ["1m1m", undefined],
    ["-1s", undefined],
    ["1 m", undefined],
    ["1M", undefined],
    ["1m!", undefined],
    ["9".repeat(40) + "w", undefined],
    ["1s".repeat(10_000), undefined],
  ];
  for (const [word, ms] of table) assertEquals(parseDuration(word), ms, word.slice(0, 20));
});

Deno.test("parseDate: days, and times with a zone", () => {
  const table: [string, number | undefined][] = [
    ["1970-01-01", 0],
    ["1970-01-01T00:00:00.250Z", 250],
    ["1970-01-01T01:00+01:00", 0],
    ["2024-02-29", 1_709_164_800_000],
    ["2023-02-29", undefined],
    ["2023-02-31T00:00:00Z", undefined],
    ["2023-13-01", undefined],
    ["2023-01-01T12:00:00", undefined],
    ["2023-01-01 12:00Z", undefined],
    ["1969-12-31", undefined],
    ["tomorrow", undefined],
    ["", undefined],
  ];
  for (const [word, ms] of table) assertEquals(parseDate(word), ms, word);
});

Deno.test("formatDuration: is read back as the same time", () => {
  for (const ms of [0, 1, 999, 1000, 61_001, 3_600_000, 90_061_001, 10 ** 12]) {
    assertEquals(parseDuration(formatDuration(ms).replaceAll(" ", "")), ms);
  }
  assertEquals(formatDuration(5_400_000), "1h 30m");
});
