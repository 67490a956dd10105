import { assert, assertEquals } from "@std/assert";
import { randomSecret, SeededRandom } from "../../../../shared/platform/random.ts";
import { isSealKey, MapSeals, parseSeenMap, seenOf } from "../../../../shared/security/map_seal.ts";

const KEY = randomSecret(new SeededRandom(1));
const MAP = { epoch: 7, generation: "g" };

Deno.test("MapSeals: a seal is that of one map of one cluster, by one key", () => {
  const seals = new MapSeals(KEY, "c1");
  const seal = seals.of(MAP);
  assert(seals.isOurs(MAP, seal));
  const others = [
    { ...MAP, epoch: 8 },
    { ...MAP, generation: "h" },
    { epoch: 7 },
    { epoch: 7, generation: 'g",7' },
  ];
  for (const other of others) assert(!seals.isOurs(other, seal), JSON.stringify(other));
  assert(!new MapSeals(KEY, "c2").isOurs(MAP, seal));
  assert(!new MapSeals(randomSecret(new SeededRandom(2)), "c1").isOurs(MAP, seal));
  for (
    const forged of [undefined, "", seal.slice(1), seal.toUpperCase(), `${seal}0`, "0".repeat(64)]
  ) {
    assert(!seals.isOurs(MAP, forged), forged);
  }
});

Deno.test("isSealKey: 64 hexadecimal digits", () => {
  assert(isSealKey(KEY.reveal()));
  for (const other of [undefined, "", 7, KEY.reveal().slice(1)]) assert(!isSealKey(other));
});

Deno.test("parseSeenMap: what was kept, or nothing", () => {
  const seen = { ...MAP, seal: "s" };
  assertEquals(parseSeenMap(JSON.parse(JSON.stringify(seenOf(seen)))), seen);
  for (const other of [undefined, null, 7, {}, { epoch: -1 }, { epoch: 1, seal: 2 }]) {
    assertEquals(parseSeenMap(other), undefined, JSON.stringify(other));
  }
});
