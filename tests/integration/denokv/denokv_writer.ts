/**
 * Run by `denokv_test.ts`: writes one key after the other, and says on each line which one was acknowledged, until its input
 * ends; then it checks that everything is there.
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import { assertEquals } from "@std/assert";

const kv = await Deno.openKv(Deno.args[0]);
let goesOn = true;
const ended = (async () => {
  for await (const _ of Deno.stdin.readable);
  goesOn = false;
})();

const acknowledged: number[] = [];
for (let i = 0; goesOn; i++) {
  const done = await kv.atomic().set(["log", i], i).sum(["count"], 1n).commit();
  assertEquals(done.ok, true);
  acknowledged.push(i);
  console.log(`acknowledged ${i}`);
}
await ended;
const found: number[] = [];
for await (const { value } of kv.list<number>({ prefix: ["log"] })) found.push(value);
assertEquals(found, acknowledged);
// The connection to the node that was named has never broken, so nothing was sent twice.
const count = (await kv.get<Deno.KvU64>(["count"])).value;
assertEquals(count?.value, BigInt(acknowledged.length));
kv.close();
