import { assertEquals, assertRejects } from "@std/assert";
import { eachInParallel, inParallel } from "../../../../shared/scheduling/in_parallel.ts";

/** Work that ends when the test says so. */
class Gates {
  readonly begun: number[] = [];
  readonly #open = new Map<number, { end(): void; fail(reason: Error): void }>();

  pass = (item: number): Promise<void> => {
    this.begun.push(item);
    return new Promise((end, fail) => this.#open.set(item, { end, fail }));
  };

  end(item: number): Promise<void> {
    this.#open.get(item)?.end();
    return settled();
  }

  fail(item: number, reason: Error): Promise<void> {
    this.#open.get(item)?.fail(reason);
    return settled();
  }
}

/** Every promise that can go on has gone on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

async function* numbers(asked: number[], last: number): AsyncGenerator<number, void, void> {
  for (let i = 1; i <= last; i++) {
    asked.push(i);
    yield await Promise.resolve(i);
  }
}

Deno.test("inParallel: has at most as many under way as it may, and asks for no more items", async () => {
  const gates = new Gates();
  const asked: number[] = [];
  const run = inParallel(numbers(asked, 4), { atOnce: 2 }, gates.pass);
  await settled();
  assertEquals([gates.begun, asked], [[1, 2], [1, 2]]);
  await gates.end(2);
  assertEquals(gates.begun, [1, 2, 3]);
  for (const item of [1, 3, 4]) await gates.end(item);
  await run;
  assertEquals(gates.begun, [1, 2, 3, 4]);
});

Deno.test("inParallel: holds an item back until its bytes have room; a large one goes alone", async () => {
  const gates = new Gates();
  const limits = { atOnce: 9, bytesAtOnce: 10, bytesOf: (item: number) => item };
  const run = inParallel([6, 4, 1, 99, 2], limits, gates.pass);
  await settled();
  assertEquals(gates.begun, [6, 4]);
  await gates.end(6);
  assertEquals(gates.begun, [6, 4, 1]);
  await gates.end(4);
  assertEquals(gates.begun, [6, 4, 1]);
  await gates.end(1);
  assertEquals(gates.begun, [6, 4, 1, 99]);
  await gates.end(99);
  await gates.end(2);
  await run;
});

Deno.test("inParallel: after a failure begins nothing more, and throws it when all have ended", async () => {
  const gates = new Gates();
  let ended = false;
  const run = inParallel([1, 2, 3], { atOnce: 2 }, gates.pass);
  const check = assertRejects(() => run, Error, "first").then(() => ended = true);
  await settled();
  await gates.fail(1, new Error("first"));
  assertEquals([gates.begun, ended], [[1, 2], false]);
  await gates.fail(2, new Error("second"));
  await check;
});

Deno.test("inParallel: what the items throw is thrown when all that was begun has ended", async () => {
  const gates = new Gates();
  async function* items() {
    yield await Promise.resolve(1);
    throw new Error("no more");
  }
  let ended = false;
  const run = inParallel(items(), { atOnce: 2 }, gates.pass);
  const check = assertRejects(() => run, Error, "no more").then(() => ended = true);
  await settled();
  assertEquals(ended, false);
  await gates.end(1);
  await check;
});

Deno.test("inParallel: gives the work the place of its item", async () => {
  const places: string[] = [];
  await inParallel(["a", "b"], { atOnce: 1 }, (item, place) => {
    places.push(`${place} ${item}`);
    return Promise.resolve();
  });
  assertEquals(places, ["0 a", "1 b"]);
});

Deno.test("eachInParallel: begins in order, a bounded number at a time, and is done once", () => {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  let done = 0;
  eachInParallel(5, 2, (index, ended) => {
    begun.push(index);
    ends.push(ended);
  }, () => done++);
  assertEquals(begun, [0, 1]);
  ends[1]?.();
  assertEquals(begun, [0, 1, 2]);
  for (const index of [0, 2, 3, 4]) ends[index]?.();
  assertEquals([begun, done], [[0, 1, 2, 3, 4], 1]);
});

Deno.test("eachInParallel: work that ends at once does not nest, however much there is", () => {
  let [begun, done] = [0, 0];
  eachInParallel(100_000, 3, (_, ended) => {
    begun++;
    ended();
  }, () => done++);
  assertEquals([begun, done], [100_000, 1]);
});

Deno.test("eachInParallel: nothing to do is done at once", () => {
  let done = 0;
  eachInParallel(0, 3, () => {}, () => done++);
  assertEquals(done, 1);
});
