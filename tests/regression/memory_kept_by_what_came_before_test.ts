/**
 * What came and went stays no longer than until the next young collection, also after a collection of all memory:
 * the table of a `Map` that is old memory kept every later request of a connection, and the first of the writes
 * under way all that came after it, until all of memory was collected again.
 *
 * @module
 */
import { assert } from "@std/assert";

const MODULES = new URL("../../", import.meta.url);
const MIB = 2 ** 20;

/** Bytes that are left of 40 MiB when all but the last hundred have gone again. */
async function leftOf(body: string): Promise<number> {
  const code = `
    const left = () => { gc({ type: "minor" }); gc({ type: "minor" }); return Deno.memoryUsage().heapUsed; };
    ${body}
    let at = 0;
    for (; at < 1_000; at++) step(at);
    gc();
    const before = left();
    for (; at < 41_000; at++) step(at);
    console.log(left() - before);`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--v8-flags=--expose-gc", "--ext=ts", code],
    cwd: MODULES,
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert(/^-?\d+$/.test(text), new TextDecoder().decode(stderr));
  return Number(text);
}

Deno.test("RequestTable: requests that were answered are not kept", async () => {
  const left = await leftOf(`
    import { RequestTable } from "${MODULES}shared/wire/request_table.ts";
    const table = new RequestTable(Infinity);
    const step = (at: number) => {
      const message = { content: Array.from({ length: 128 }, () => at) };
      const id = table.send({ message, deadlineMs: 1, timeoutMs: 1, done: () => {} });
      if (id > 100) table.answered(id - 100);
    };`);
  assert(left < 4 * MIB, `${left} bytes are left`);
});

Deno.test("WriteQueue: writes that were committed are not kept", async () => {
  const left = await leftOf(`
    import { ByteBudget } from "${MODULES}shared/base/byte_budget.ts";
    import { inFlightBytes, WriteQueue } from "${MODULES}node/requests/write_queue.ts";
    const budget = new ByteBudget(2 ** 40);
    const queue = new WriteQueue(budget, () => 0);
    const step = (at: number) => {
      const entry = { key: "k" + at, value: new Uint8Array(0), seq: at + 1, term: 1, flags: 0, expiresAtMs: 0 };
      const answer = { req_type: "pong", content: Array.from({ length: 128 }, () => at) };
      budget.take(inFlightBytes(entry));
      queue.push({ entry, answer, reply: undefined, early: false, deadlineMs: 1, waiters: undefined, ends: true,
        committed: false, next: undefined });
      queue.commit(at - 99);
    };`);
  assert(left < 4 * MIB, `${left} bytes are left`);
});
