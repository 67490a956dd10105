import { assertEquals } from "@std/assert";
import { editDistance, nearest } from "../../../../shared/program/near_miss.ts";

Deno.test("editDistance: counts edits, and a swap of neighbours as one", () => {
  const table: [string, string, number][] = [
    ["", "", 0],
    ["", "abc", 3],
    ["port", "port", 0],
    ["port", "prot", 1],
    ["port", "pot", 1],
    ["port", "ports", 1],
    ["kitten", "sitting", 3],
  ];
  for (const [a, b, distance] of table) {
    assertEquals(editDistance(a, b), distance, `${a} ${b}`);
    assertEquals(editDistance(b, a), distance, `${b} ${a}`);
  }
});

Deno.test("nearest: gives what was probably meant, and nothing for something else", () => {
  const known = ["port", "host", "lease-ms", "replication-factor"];
  assertEquals(nearest("prot", known), "port");
  assertEquals(nearest("leasems", known), "lease-ms");
  assertEquals(nearest("REPLICATION-FACTR", known), "replication-factor");
  assertEquals(nearest("verbose", known), undefined);
});
