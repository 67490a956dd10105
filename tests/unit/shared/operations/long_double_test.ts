/** The arithmetic of INCRBYFLOAT. What redis-server answers is compared in `redis_differential_test.ts`. */
import { assert, assertEquals } from "@std/assert";
import {
  addLongDoubles,
  formatLongDouble,
  parseLongDouble,
} from "../../../../shared/operations/long_double.ts";

function sum(a: string, b: string): string {
  const [left, right] = [parseLongDouble(a), parseLongDouble(b)];
  assert(left !== undefined && right !== undefined);
  return formatLongDouble(addLongDoubles(left, right));
}

Deno.test("LongDouble: sums are those that redis-server 7.0 gave on x86-64", () => {
  const cases: [a: string, b: string, sum: string][] = [
    ["0.1", "0.2", "0.3"],
    ["0", "0.024390243902439025", "0.02439024390243902"],
    ["0.02439024390243902", "-0.024390243902439025", "0"],
    ["100000000", "0.00001", "100000000.00001000000338536"],
    ["18446744073709551615", "2", "18446744073709551616"],
    ["3", "1.000000000000000005", "4.00000000000000001"],
    ["-0", "-0", "0"],
  ];
  for (const [a, b, wanted] of cases) assertEquals(sum(a, b), wanted, `${a} + ${b}`);
});

Deno.test("LongDouble: of two numbers that are as near, the one with an even mantissa", () => {
  // 2^64 + 1 and 2^64 + 3 lie between two numbers of 64 bits each.
  assertEquals(sum("18446744073709551617", "0"), "18446744073709551616");
  assertEquals(sum("18446744073709551619", "0"), "18446744073709551620");
  // A little beyond the middle it is the nearer one.
  assertEquals(sum("18446744073709551617.0000000000000000000001", "0"), "18446744073709551618");
});

Deno.test("LongDouble: what is no number, or beyond a double, is none", () => {
  const none = ["", ".", "e5", "1e401", "1e309", " 1", "inf", "nan", "--1", "1_0"];
  for (const text of [...none, "0x", "0x.", "0xg", "0x1p", "0x1p1024", "0x1p-2000", "0x 1"]) {
    assertEquals(parseLongDouble(text), undefined, text);
  }
});

Deno.test("LongDouble: hexadecimal as C reads it", () => {
  // What redis-server 7.0 answers to INCRBYFLOAT of 0.
  const table = [
    ["0x10", "16"],
    ["-0X.8", "-0.5"],
    ["0x1p4", "16"],
    ["+0x1.8P-1", "0.75"],
    ["0x0", "0"],
    ["0x10000000000000001", "18446744073709551616"],
  ] as const;
  for (const [text, decimal] of table) assertEquals(sum(text, "0"), decimal, text);
});
