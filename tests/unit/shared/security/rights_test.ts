import { assertEquals } from "@std/assert";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { keyRange } from "../../../../shared/base/key_range.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import {
  type Grant,
  type KeyRight,
  type Right,
  Rights,
} from "../../../../shared/security/rights.ts";

const grant = (right: Right, prefix: string, database = "default"): Grant => ({
  database,
  prefix,
  right,
});

Deno.test("Rights: without a grant nothing is allowed", () => {
  const none = new Rights([]);
  assertEquals(none.isAdmin, false);
  for (const right of ["read", "write"] as const) {
    assertEquals(none.allowsKey(right, ""), false);
    assertEquals(none.allowsKey(right, "a"), false);
    assertEquals(none.allowsRange(right, keyRange({})), false);
    assertEquals(none.allowsRange(right, keyRange({ prefix: "a" })), false);
  }
});

Deno.test("Rights: a grant is for its prefix, its right and its database", () => {
  const rights = new Rights([
    grant("read", "app:"),
    grant("write", "log:"),
    grant("read", "x", "other"),
  ]);
  const table: [KeyRight, string, boolean][] = [
    ["read", "app:", true],
    ["read", "app:1", true],
    ["read", "app", false],
    ["read", "app;", false],
    ["read", "b", false],
    ["write", "app:1", false],
    ["write", "log:1", true],
    ["read", "log:1", false],
    ["read", "x", false],
  ];
  for (const [right, key, allowed] of table) {
    assertEquals(rights.allowsKey(right, key), allowed, `${right} ${key}`);
  }
});

Deno.test("Rights: every database, and admin, which may everything", () => {
  assertEquals(new Rights([grant("read", "", "*")]).allowsKey("read", "any"), true);
  const admin = new Rights([grant("admin", "")]);
  assertEquals(admin.isAdmin, true);
  assertEquals(admin.allowsKey("write", "any"), true);
  assertEquals(admin.allowsRange("read", keyRange({})), true);
  assertEquals(new Rights([grant("admin", "", "other")]).isAdmin, false);
});

Deno.test("Rights: who monitors may see what the cluster does, and no key", () => {
  const monitor = new Rights([grant("monitor", "")]);
  assertEquals([monitor.mayMonitor, monitor.isAdmin], [true, false]);
  for (const right of ["read", "write"] as const) {
    assertEquals(monitor.allowsKey(right, "any"), false);
    assertEquals(monitor.allowsRange(right, keyRange({})), false);
  }
  assertEquals(new Rights([grant("admin", "")]).mayMonitor, true);
  assertEquals(new Rights([grant("read", ""), grant("write", "")]).mayMonitor, false);
  assertEquals(new Rights([grant("monitor", "", "other")]).mayMonitor, false);
});

Deno.test("Rights: a range must be inside of what is granted, at both ends", () => {
  const rights = new Rights([grant("read", "app:"), grant("read", "b"), grant("read", "c")]);
  const table: [Parameters<typeof keyRange>[0], boolean][] = [
    [{ prefix: "app:" }, true],
    [{ prefix: "app:user:" }, true],
    [{ prefix: "app" }, false],
    [{ prefix: "" }, false],
    [{}, false],
    [{ start: "app:" }, false],
    [{ start: "app:1", end: "app:2" }, true],
    // It ends before the first key that is not granted.
    [{ start: "app:1", end: "app;" }, true],
    [{ start: "app:1", end: "app;1" }, false],
    [{ start: "app:1", end: "b1" }, false],
    [{ start: "app", end: "app:5" }, false],
    [{ end: "app:5" }, false],
    // Two grants that touch.
    [{ start: "b5", end: "c5" }, true],
    [{ start: "b5", end: "d" }, true],
    [{ start: "b5", end: "d1" }, false],
    [{ prefix: "c", start: "b", end: "z" }, true],
    // No key can be in it.
    [{ start: "z", end: "y" }, true],
    [{ prefix: "q", end: "a" }, true],
  ];
  for (const [bounds, allowed] of table) {
    assertEquals(rights.allowsRange("read", keyRange(bounds)), allowed, JSON.stringify(bounds));
    assertEquals(rights.allowsRange("write", keyRange(bounds)), keyRange(bounds).empty);
  }
});

Deno.test("Rights: as a search of all grants says, for random prefixes, keys and ranges", () => {
  const random = new SeededRandom(14);
  const alphabet = ["a", "b", "\u{ffff}", "\u{10000}", "\u{10ffff}"];
  const word = (max: number) =>
    Array.from(
      { length: randomBelow(random, max + 1) },
      () => alphabet[randomBelow(random, alphabet.length)] ?? "",
    ).join("");
  const keys = new Set<string>();
  for (let i = 0; i < 400; i++) keys.add(word(4));
  for (let round = 0; round < 300; round++) {
    const grants = Array.from({ length: randomBelow(random, 5) }, () => grant("read", word(3)));
    const rights = new Rights(grants);
    const granted = (key: string) => grants.some(({ prefix }) => key.startsWith(prefix));
    for (const key of keys) assertEquals(rights.allowsKey("read", key), granted(key), key);
    const bounds = {
      ...(randomBelow(random, 2) === 0 ? {} : { prefix: word(2) }),
      ...(randomBelow(random, 2) === 0 ? {} : { start: word(3) }),
      ...(randomBelow(random, 2) === 0 ? {} : { end: word(3) }),
    };
    const range = keyRange(bounds);
    if (!rights.allowsRange("read", range) || range.empty) continue;
    for (const key of keys) {
      const inside = compareKeys(key, range.start ?? "") >= 0 &&
        (range.end === undefined || compareKeys(key, range.end) < 0);
      if (inside) assertEquals(granted(key), true, JSON.stringify({ bounds, grants, key }));
    }
  }
});
