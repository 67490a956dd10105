/**
 * Run by `denokv_test.ts`: writes one key after the other, and says on each line which one was acknowledged, until its input
 * ends; then it checks that everything is there. With the argument `breaks`, its connection may break, and what was
 * under way then may happen twice.
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import { assert, assertEquals } from "@std/assert";

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
const count = Number((await kv.get<Deno.KvU64>(["count"])).value?.value);
const twice = count - acknowledged.length;
// Nothing is sent twice while the connection lives; when it breaks, one write is under way.
assert(twice === 0 || (twice === 1 && Deno.args[1] === "breaks"), `${twice} writes happened twice`);
kv.close();
