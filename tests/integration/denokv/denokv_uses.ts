/**
 * Run by `denokv_test.ts`: what programs do with Deno KV beside reading and writing. The `openKv` of Deno, or, with the argument
 * `npm`, that of `@deno/kv` in whatever runtime this is.
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import assert from "node:assert/strict";

/** Opens a database, in the way that is tried. */
export async function useDenoKv(open: () => Promise<Deno.Kv>): Promise<void> {
  const kv = await open();
  await watches(kv);
  await expires(kv);
  await isAtomic(kv);
  await lists(kv);
  kv.close();
}

async function watches(kv: Deno.Kv): Promise<void> {
  await kv.set(["watched", 1], "first");
  const reader = kv.watch<[string, string]>([["watched", 1], ["watched", 2]]).getReader();
  const next = async () => (await reader.read()).value?.map(({ value }) => value);
  assert.deepEqual(await next(), ["first", null]);
  await kv.set(["watched", 2], "second");
  assert.deepEqual(await next(), ["first", "second"]);
  await kv.atomic().delete(["watched", 1]).set(["watched", 2], "third").commit();
  assert.deepEqual(await next(), [null, "third"], "a commit is seen as a whole");
  await reader.cancel();
}

async function expires(kv: Deno.Kv): Promise<void> {
  await kv.set(["expires"], 1, { expireIn: 200 });
  while ((await kv.get(["expires"])).value !== null);
  for await (const { key } of kv.list({ prefix: [] })) assert.notEqual(key[0], "expires");
}

async function isAtomic(kv: Deno.Kv): Promise<void> {
  const key = ["account"];
  const first = await kv.atomic().check({ key, versionstamp: null }).set(key, 1).commit();
  assert.ok(first.ok);
  const second = await kv.atomic().check({ key, versionstamp: null }).set(key, 2).commit();
  assert.ok(!second.ok);
  const entries = await kv.getMany([key, ["none"]]);
  assert.deepEqual(entries.map(({ value, versionstamp }) => [value, versionstamp]), [
    [1, first.versionstamp],
    [null, null],
  ]);
  const both = await kv.atomic().check(entries[0]).set(["a"], 1).set(["b"], 2).commit();
  assert.ok(both.ok);
  const stamps = (await kv.getMany([["a"], ["b"]])).map(({ versionstamp }) => versionstamp);
  assert.deepEqual(stamps, [both.versionstamp, both.versionstamp]);
  // Twenty programs add at once.
  const sums = Array.from({ length: 20 }, () => kv.atomic().sum(["sum"], 1n).commit());
  await Promise.all(sums);
  assert.equal((await kv.get<Deno.KvU64>(["sum"])).value?.value, 20n);
  await assert.rejects(kv.atomic().set(["half"], 1).sum(key, 1n).commit());
  assert.equal((await kv.get(["half"])).value, null);
}

async function lists(kv: Deno.Kv): Promise<void> {
  for (let i = 0; i < 25; i++) await kv.set(["list", i], i);
  const values = [];
  for await (const { value } of kv.list({ prefix: ["list"] }, { batchSize: 10 })) {
    values.push(value);
  }
  assert.deepEqual(values, Array.from({ length: 25 }, (_, i) => i));
}

if (import.meta.main) await useDenoKv(() => Deno.openKv(Deno.args[0]));
