import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { type Given, parseGiven, refuseOther } from "../../../../shared/program/given_value.ts";
import { integer } from "../../../../shared/program/setting.ts";

const PORT = integer({ help: "Port.", default: 1, min: 0, max: 9 });
const given = (text: string, place = "--port"): Given => ({ source: "flag", text, place });

Deno.test("parseGiven: gives the value, or says where it stands and what is required", () => {
  assertEquals(parseGiven(PORT, given("7")), 7);
  assertThrows(
    () => parseGiven(PORT, given("10")),
    KvError,
    "--port must be an integer from 0 to 9",
  );
  assertThrows(() => parseGiven(PORT, given("")), KvError, "--port needs a value");
});

Deno.test("refuseOther: lets the same value pass twice, however it is written, and no other", () => {
  refuseOther(PORT, given("7"), given("+7"));
  refuseOther(PORT, undefined, given("7"));
  assertThrows(() => refuseOther(PORT, given("7"), given("8")), KvError, "is given twice");
  const other = given("8", "[port]");
  assertThrows(() => refuseOther(PORT, given("7"), other), KvError, "which is the same setting");
});
