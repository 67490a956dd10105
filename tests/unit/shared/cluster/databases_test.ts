import { assert, assertEquals, assertThrows } from "@std/assert";
import { compareKeys, prefixEnd } from "../../../../shared/base/key_order.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  databaseListing,
  databaseNumberOf,
  findDatabase,
  isDatabaseList,
  isDatabaseName,
  keyPrefixOf,
  NAMED_END,
  NAMED_FROM,
  nextDefaultPart,
  NO_DATABASES,
  userKeyOf,
  withDatabase,
  withoutDatabase,
} from "../../../../shared/cluster/databases.ts";
import { keyPosition } from "../../../../shared/cluster/position.ts";
import { DATABASE_NUMBER_MAX } from "../../../../shared/limits/cluster.ts";
import { checkKey } from "../../../../shared/validation/request_checks.ts";

const SPREAD = keyPrefixOf({ number: 7 });
const TOGETHER = keyPrefixOf({ number: 7, together: true });

function codeOf(run: () => unknown): string {
  return assertThrows(run, KvError).code;
}

Deno.test("stored keys: a database's number and the user's key are found again", () => {
  assertEquals([SPREAD, TOGETHER], ["\0db/000007/", "\0db/{000007}"]);
  for (const prefix of [SPREAD, TOGETHER]) {
    for (const key of ["k", "a/b", "{t}x", "\0db/000001/k", "\udcff", "\n"]) {
      assertEquals([databaseNumberOf(prefix + key), userKeyOf(prefix + key)], [7, key]);
    }
    assertEquals(databaseNumberOf(prefix), undefined, "a prefix is no key");
    assert(
      compareKeys(prefix, NAMED_FROM) > 0 && compareKeys(prefixEnd(prefix) ?? "", NAMED_END) < 0,
    );
  }
  for (const key of ["k", "\0", "\0dc", "\0db0", "\0session/x"]) {
    assertEquals([databaseNumberOf(key), userKeyOf(key)], [0, key]);
  }
  for (const key of ["\0db/", "\0db/7/k", "\0db/000007k", "\0db/{000007/k", "\0db/00000x/k"]) {
    assertEquals([databaseNumberOf(key), userKeyOf(key)], [undefined, key]);
    assertEquals(codeOf(() => checkKey(key)), "bad_request");
  }
});

Deno.test("stored keys: those of one database that lie together have one position, others their own or their tag's", () => {
  const positions = (prefix: string) =>
    new Set(["a", "b", "c{t}", "d"].map((key) => keyPosition(prefix + key)));
  assertEquals(positions(TOGETHER).size, 1);
  assertEquals(positions(SPREAD).size, 4);
  assertEquals(keyPosition(`${SPREAD}a{t}`), keyPosition(`${SPREAD}b{t}`));
});

Deno.test("withDatabase, withoutDatabase: numbers grow, and are never given twice", () => {
  let databases = withDatabase(NO_DATABASES, { name: "a" });
  databases = withDatabase(databases, { name: "b", together: true, maxKeys: 3, maxBytes: 100 });
  databases = withoutDatabase(databases, "b");
  databases = withDatabase(databases, { name: "b" });
  assertEquals(databases, { next: 4, list: [{ name: "a", number: 1 }, { name: "b", number: 3 }] });
  assertEquals(findDatabase(databases, "b")?.number, 3);
  assertEquals(databaseListing(databases).map(({ name, number }) => [name, number]), [
    ["default", 0],
    ["a", 1],
    ["b", 3],
  ]);
  assertEquals(codeOf(() => withDatabase(databases, { name: "a" })), "exists");
  assertEquals(codeOf(() => withDatabase(databases, { name: "default" })), "exists");
  assertEquals(codeOf(() => withDatabase(databases, { name: "c", maxKeys: 0 })), "bad_request");
  assertEquals(codeOf(() => withoutDatabase(databases, "c")), "no_database");
  assertEquals(codeOf(() => withoutDatabase(databases, "default")), "bad_request");
  const spent = { next: DATABASE_NUMBER_MAX + 1, list: [] };
  assertEquals(codeOf(() => withDatabase(spent, { name: "c" })), "overloaded");
});

Deno.test("isDatabaseName: what fits into an address, a flag and a log", () => {
  for (const name of ["a", "5", "Orders.v2_x-y", "a".repeat(63)]) {
    assert(isDatabaseName(name), name);
  }
  for (const name of ["", "-a", ".", "a/b", "a b", "é", "a".repeat(64), "a\n", 5]) {
    assert(!isDatabaseName(name), String(name));
  }
});

Deno.test("isDatabaseList: the list's invariants", () => {
  assert(isDatabaseList({ next: 3, list: [{ name: "a", number: 1 }, { name: "b", number: 2 }] }));
  const wrong: unknown[] = [
    undefined,
    {},
    { next: 0, list: [] },
    { next: 2, list: [{ name: "a", number: 2 }] },
    { next: 9, list: [{ name: "a", number: 2 }, { name: "b", number: 2 }] },
    { next: 9, list: [{ name: "a/b", number: 2 }] },
    { next: 9, list: [{ name: "a", number: 2, together: false }] },
    { next: 9, list: [{ name: "a", number: 2, maxKeys: -1 }] },
    { next: 9, list: [null] },
  ];
  for (const list of wrong) assert(!isDatabaseList(list), JSON.stringify(list));
});

Deno.test("nextDefaultPart: goes around the rows of named databases, both ways, and leaves out nothing else", () => {
  const keys = ["\0", "\0d", "\0db", `${SPREAD}k`, `${TOGETHER}k`, "\0db0", "\0e", "a", "b"].sort(
    compareKeys,
  );
  const bounds = [undefined, "\0d", "\0db0", "\0e", "b"];
  for (const reverse of [false, true]) {
    for (const start of bounds) {
      for (const end of bounds) {
        const read: string[] = [];
        let position: string | undefined;
        for (let parts = 0;; parts++) {
          assert(parts < 3);
          const part = nextDefaultPart({ start, end }, position, reverse);
          const found = keys.filter((key) =>
            (part.start === undefined || compareKeys(key, part.start) >= 0) &&
            (part.end === undefined || compareKeys(key, part.end) < 0) &&
            (position === undefined || compareKeys(key, position) * (reverse ? -1 : 1) > 0)
          );
          read.push(...(reverse ? found.reverse() : found));
          if (part.then === undefined) break;
          position = part.then;
        }
        const wanted = keys.filter((key) =>
          databaseNumberOf(key) === 0 && (start === undefined || compareKeys(key, start) >= 0) &&
          (end === undefined || compareKeys(key, end) < 0)
        );
        assertEquals(
          read,
          reverse ? wanted.reverse() : wanted,
          JSON.stringify([start, end, reverse]),
        );
      }
    }
  }
});
