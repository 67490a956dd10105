import { assertEquals } from "@std/assert";
import { KeyTurns } from "../../../../shared/scheduling/key_turns.ts";

/** Asks for keys, and notes who has begun. */
class Bench {
  readonly turns = new KeyTurns();
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  take(name: string, ...keys: string[]): void {
    this.turns.take(keys, (end) => {
      this.begun.push(name);
      this.#ends.set(name, end);
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }
}

Deno.test("KeyTurns: whoever has other keys begins at once, the others in the order of asking", async () => {
  const bench = new Bench();
  bench.take("a", "x", "y");
  bench.take("b", "y", "z");
  bench.take("c", "z");
  bench.take("d", "w");
  bench.take("e", "x");
  assertEquals(bench.begun, ["a", "d"]);
  await bench.end("a");
  assertEquals(bench.begun, ["a", "d", "b", "e"]);
  await bench.end("e");
  await bench.end("b");
  assertEquals(bench.begun, ["a", "d", "b", "e", "c"]);
});

Deno.test("KeyTurns: those who want each other's keys in another order all get their turn; nothing is left", async () => {
  const bench = new Bench();
  bench.take("a", "x", "y");
  bench.take("b", "y", "x");
  bench.take("c");
  bench.take("d", "x", "y");
  assertEquals(bench.begun, ["a", "c"]);
  for (const name of ["a", "b", "d", "c"]) await bench.end(name);
  assertEquals(bench.begun, ["a", "c", "b", "d"]);
  assertEquals(bench.turns.size, 0);
});
