/**
 * Run by `denokv_test.ts` in a process that has Deno KV: the same calls at every limit of Deno KV, on a database of a cluster
 * and on Deno's own in memory, and calls with odd arguments. What comes of them must be the same, but for what docs/deno-kv.md
 * says is different.
 *
 *     deno run -A --unstable-kv denokv_limits.ts URL
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import { assert, assertEquals } from "@std/assert";

const theirs = await Deno.openKv(":memory:");
const ours = await Deno.openKv(Deno.args[0]);

type Call = (kv: Deno.Kv) => unknown;

/** What a call gives, without versionstamps; the text of an error is each store's own. */
async function outcomeOf(call: Call, kv: Deno.Kv): Promise<string> {
  try {
    return Deno.inspect(plain(await call(kv)), { depth: 5, strAbbreviateSize: 80 });
  } catch (error) {
    assert(error instanceof Error);
    return "refused";
  }
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "string" && /^[0-9a-f]{20}$/.test(value)) return "a versionstamp";
  if (value instanceof Uint8Array && value.length > 100) return `${value.length} bytes`;
  if (typeof value === "string" && value.length > 100) return `${value.length} characters`;
  if (typeof value !== "object" || value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

let compared = 0;
async function same(name: string, call: Call): Promise<void> {
  const [their, our] = [await outcomeOf(call, theirs), await outcomeOf(call, ours)];
  assertEquals(our, their, name);
  compared++;
}

/** What is different, and why, is on the page. */
async function differs(name: string, call: Call): Promise<void> {
  const [their, our] = [await outcomeOf(call, theirs), await outcomeOf(call, ours)];
  assert(our === "refused" && their !== "refused", `${name}: ours ${our}, theirs ${their}`);
}

/** A key of so many bytes: the text, a mark before it and one behind it. */
const key = (bytes: number): Deno.KvKey => ["x".repeat(bytes - 2)];
const several = (count: number) => Array.from({ length: count }, (_, i) => ["m", i]);
const all = (kv: Deno.Kv, selector: Deno.KvListSelector, options?: Deno.KvListOptions) =>
  Array.fromAsync(kv.list(selector, options));

async function firstOfWatch(kv: Deno.Kv, keys: Deno.KvKey[]): Promise<unknown> {
  const reader = kv.watch(keys).getReader();
  try {
    return (await reader.read()).value;
  } finally {
    await reader.cancel();
  }
}

async function keys(): Promise<void> {
  for (const bytes of [2_047, 2_048, 2_049, 2_050, 4_000]) {
    await same(`set ${bytes}`, (kv) => kv.set(key(bytes), bytes));
    await same(`get ${bytes}`, (kv) => kv.getMany([key(bytes), ["a"]]));
    await same(
      `check ${bytes}`,
      (kv) => kv.atomic().check({ key: key(bytes), versionstamp: null }).commit(),
    );
    await same(`prefix ${bytes}`, (kv) => all(kv, { prefix: key(bytes) }));
    await same(`start ${bytes}`, (kv) => all(kv, { start: key(bytes), end: ["y"] }));
    await same(`end ${bytes}`, (kv) => all(kv, { start: ["a"], end: key(bytes) }));
    await same(
      `reverse ${bytes}`,
      (kv) => all(kv, { prefix: [] }, { reverse: true, batchSize: 1 }),
    );
    if (bytes !== 2_049) await same(`watch ${bytes}`, (kv) => firstOfWatch(kv, [key(bytes)]));
    await same(`delete ${bytes}`, (kv) => kv.delete(key(bytes)));
  }
  await differs(
    "a watch of a longer key than there can be",
    (kv) => firstOfWatch(kv, [key(2_049)]),
  );
  await differs("a watch of no key", (kv) => firstOfWatch(kv, []));
  await same("no key", (kv) => kv.set([], 1));
}

/** What Deno's own store takes stays there, so this comes last. */
async function stampedKeys(): Promise<void> {
  const stamped = (bytes: number): Call => (kv) =>
    kv.set([...key(bytes), kv.commitVersionstamp() as unknown as Deno.KvKeyPart], 1);
  await same("a key with a versionstamp", stamped(2_000));
  await differs("a key that is too long with its versionstamp", stamped(2_048));
}

async function values(): Promise<void> {
  for (const bytes of [65_535, 65_536, 65_537]) {
    await same(`${bytes} bytes`, (kv) => kv.set(["v"], new Uint8Array(bytes)));
    await same(`${bytes} characters`, (kv) => kv.set(["v"], "x".repeat(bytes)));
    await same("what is there", (kv) => kv.get(["v"]));
  }
  for (const expireIn of [0, 1, -1, 0.5, NaN, Infinity, 8.64e15, 1e20]) {
    await same(`expireIn ${expireIn}`, (kv) => kv.set(["e"], 1, { expireIn }));
  }
  // Deno's own store shows it for a while when its time is over.
  await same("delete what expires", (kv) => kv.delete(["e"]));
}

async function counts(): Promise<void> {
  for (const count of [0, 1, 9, 10, 11, 100, 101]) {
    await same(`getMany of ${count}`, (kv) => kv.getMany(several(count)));
    if (count > 0) await same(`watch of ${count}`, (kv) => firstOfWatch(kv, several(count)));
    await same(`checks ${count}`, (kv) => {
      const atomic = kv.atomic();
      for (const key of several(count)) atomic.check({ key, versionstamp: null });
      return atomic.commit();
    });
  }
  for (const count of [1_000, 1_001]) {
    await same(`mutations ${count}`, (kv) => {
      const atomic = kv.atomic();
      for (const key of several(count)) atomic.set(key, 1);
      return atomic.commit();
    });
  }
  for (const size of [1, 500, 501, 1_000, 1_001]) {
    const prefix = ["m"];
    await same(`batchSize ${size}`, (kv) => all(kv, { prefix }, { batchSize: size, limit: 1_100 }));
    await same(`limit ${size}`, (kv) => all(kv, { prefix }, { limit: size }));
  }
  for (const kib of [790, 800, 810]) {
    await same(`${kib} KiB of values`, (kv) => {
      const atomic = kv.atomic();
      for (let i = 0; i < kib / 10; i++) atomic.set(["t", i], new Uint8Array(10_240));
      return atomic.commit();
    });
  }
}

async function oddities(): Promise<void> {
  const ranges: Deno.KvListSelector[] = [
    { start: ["b"], end: ["a"] },
    { start: ["b"], end: ["b"] },
    { prefix: ["b"], start: ["a"] },
    { prefix: ["b"], end: ["c"] },
    { prefix: ["m"], start: ["m"] },
  ];
  for (const range of ranges) {
    await same(JSON.stringify(range), (kv) => all(kv, range, { limit: 2 }));
  }
  const long = btoa("x".repeat(3_000));
  for (const cursor of ["", "x", "AAAA", "////", "\u00e9", btoa("\x02a\x00"), long]) {
    for (const selector of [{ prefix: ["m"] }, { prefix: [] }, { start: ["a"], end: ["z"] }]) {
      for (const reverse of [false, true]) {
        const options = { cursor, limit: 3, reverse };
        await same(
          JSON.stringify([cursor.slice(0, 9), selector]),
          (kv) => all(kv, selector, options),
        );
      }
    }
  }
  for (
    const versionstamp of ["", "x", "0".repeat(19), "0".repeat(20), "F".repeat(20), "g".repeat(20)]
  ) {
    await same(
      `versionstamp ${versionstamp}`,
      (kv) => kv.atomic().check({ key: ["q"], versionstamp }).commit(),
    );
  }
  await differs("enqueue", (kv) => kv.enqueue("x"));
}

async function numbers(): Promise<void> {
  const u64 = (value: bigint) => new Deno.KvU64(value);
  const few = [1, -0, 0.5, NaN, Infinity, 2 ** 31, 2 ** 53, 1n, -2n, 2n ** 64n, u64(1n)];
  for (const before of [undefined, "x", new Uint8Array(8), ...few]) {
    for (const operand of [...few, "x", null, new Date(0)]) {
      for (const type of ["sum", "min", "max"]) {
        const mutation = { type, key: ["n"], value: operand } as unknown as Deno.KvMutation;
        const combine = async (kv: Deno.Kv) => {
          if (before === undefined) await kv.delete(["n"]);
          else await kv.set(["n"], before);
          await kv.atomic().mutate(mutation).commit();
          const { value } = await kv.get(["n"]);
          return [value, Object.is(value, -0)];
        };
        await same(`${type} of ${Deno.inspect(before)} and ${Deno.inspect(operand)}`, combine);
      }
    }
  }
}

await keys();
await values();
await counts();
await oddities();
await numbers();
await stampedKeys();
console.log(`${compared} calls compared`);
ours.close();
theirs.close();
