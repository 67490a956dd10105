/**
 * Run by `denokv_test.ts`: writes one key after the other, and says on each line which one was acknowledged, until its input
 * ends; then it checks that everything is there. With the argument `breaks`, its connection may break, and what was
 * under way then may happen twice.
 *
 * @module
 */
/// <reference lib="deno.unstable" />
import assert from "node:assert/strict";
import process from "node:process";

/** Writes to a database that is open. @param again whether an error of a write is worth another try */
export async function writeUntilEnd(
  kv: Deno.Kv,
  mayBreak: boolean,
  again: (error: unknown) => boolean = () => false,
): Promise<void> {
  let goesOn = true;
  process.stdin.on("end", () => goesOn = false).resume();
  const acknowledged: number[] = [];
  let breaks = 0;
  for (let i = 0; goesOn; i++) {
    for (let done = false; !done;) {
      try {
        await kv.atomic().set(["log", i], i).sum(["count"], 1n).commit();
        done = true;
      } catch (error) {
        if (!again(error)) throw error;
        breaks++;
      }
    }
    acknowledged.push(i);
    console.log(`acknowledged ${i}`);
  }
  const found: number[] = [];
  for await (const { value } of kv.list<number>({ prefix: ["log"] })) found.push(value);
  assert.deepEqual(found, acknowledged);
  const count = Number((await kv.get<Deno.KvU64>(["count"])).value?.value);
  const twice = count - acknowledged.length;
  // Nothing is sent twice while the connection lives; when it breaks, one write is under way.
  assert.ok(
    twice === 0 || (mayBreak && twice <= Math.max(1, breaks)),
    `${twice} writes happened twice`,
  );
  kv.close();
}

if (import.meta.main) {
  await writeUntilEnd(await Deno.openKv(Deno.args[0]), Deno.args[1] === "breaks");
}
