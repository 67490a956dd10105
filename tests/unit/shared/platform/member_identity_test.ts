import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  memberServerName,
  normalSerial,
  subjectOf,
} from "../../../../shared/platform/member_identity.ts";

Deno.test("subjectOf: one CN, OU and O of a member, and nothing that only looks like them", () => {
  const member = { CN: "n1", OU: "node", O: "c1" };
  assertEquals(subjectOf(member), { id: "n1", role: "node", cluster: "c1" });
  assertEquals(subjectOf({ CN: ["n1"], OU: ["coordinator"], O: ["c1"] }).role, "coordinator");
  const refused = [
    {},
    { ...member, CN: undefined },
    { ...member, CN: ["n1", "n2"] },
    { ...member, CN: [] },
    { ...member, CN: "a b" },
    { ...member, OU: "client" },
    { ...member, OU: ["node", "coordinator"] },
    { ...member, O: undefined },
    { ...member, O: "" },
  ];
  for (const fields of refused) {
    assertEquals(assertThrows(() => subjectOf(fields), KvError).code, "unauthorized");
  }
});

Deno.test("memberServerName: of one member, or of any of its role", () => {
  assertEquals(memberServerName({ role: "node", id: "N1" }), "n1.node.kv.internal");
  assertEquals(memberServerName({ role: "coordinator" }), "coordinator.kv.internal");
});

Deno.test("normalSerial: the same number reads the same", () => {
  assertEquals(normalSerial("00AB0"), "ab0");
  assertEquals(normalSerial("00"), "0");
});
