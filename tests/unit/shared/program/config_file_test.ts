import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { readFileSettings } from "../../../../shared/program/config_file.ts";
import { integer } from "../../../../shared/program/setting.ts";

const PROGRAM = {
  name: "kv-test",
  summary: "A test.",
  usage: [],
  settings: { leaseMs: integer({ help: "Lease.", default: 1, min: 0, max: 9_999 }) },
};

const read = (text: string) => readFileSettings(PROGRAM, "kv.yaml", () => text);

Deno.test("readFileSettings: keys are flags without dashes, and say where they stand", () => {
  assertEquals([...read("lease-ms: 7")], [
    ["leaseMs", { source: "file", text: 7, place: "kv.yaml: lease-ms" }],
  ]);
  assertEquals(read("lease-ms:").size, 0, "null sets nothing");
});

Deno.test("readFileSettings: without a path nothing is read", () => {
  const fail = () => {
    throw new Error("read");
  };
  for (const path of [undefined, ""]) assertEquals(readFileSettings(PROGRAM, path, fail).size, 0);
  assertThrows(
    () => readFileSettings(PROGRAM, "a", fail),
    KvError,
    "cannot read the configuration",
  );
});

Deno.test("readFileSettings: refuses what is not one mapping of known settings", () => {
  for (
    const [text, wanted] of [
      ["leaseMs: 7", 'unknown setting "leaseMs"; did you mean "lease-ms"?'],
      ["7", "expected a mapping"],
      ["a: 1\n---\nb: 2", "has 2 YAML documents"],
      ["a: [", "is not YAML"],
    ] as const
  ) assertThrows(() => read(text), KvError, wanted);
});
