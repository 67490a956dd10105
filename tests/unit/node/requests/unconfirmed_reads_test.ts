import { assertEquals } from "@std/assert";
import { UnconfirmedReads } from "../../../../node/requests/unconfirmed_reads.ts";
import { WAITING_REQUESTS_MAX } from "../../../../shared/limits/replication.ts";

/** Reads by name; notes which have run, and how often a round was asked for. */
class Bench {
  nowMs = 0;
  asked = 0;
  readonly ran: string[] = [];
  readonly answers: string[] = [];
  readonly reads = new UnconfirmedReads(() => this.nowMs, () => this.asked++);

  add(name: string, timeout_ms = 1_000): void {
    this.reads.add(
      { timeout_ms },
      (reply) => this.answers.push(`${name}: ${reply.req_type === "error" ? reply.code : "?"}`),
      () => this.ran.push(name),
    );
  }

  /** Runs what is confirmed. */
  run(): string[] {
    this.ran.length = 0;
    for (;;) {
      const read = this.reads.takeConfirmed();
      if (read === undefined) return [...this.ran];
      read.run();
    }
  }
}

Deno.test("UnconfirmedReads: a round speaks for the reads that came before it began, and for no others (rule R2)", () => {
  const bench = new Bench();
  bench.add("a");
  bench.add("b");
  assertEquals(bench.run(), []);
  assertEquals(bench.reads.begin(), true);
  bench.add("late");
  const { asked } = bench;
  bench.reads.end(true);
  assertEquals(bench.run(), ["a", "b"]);
  // The late one has a round of its own.
  assertEquals(bench.asked, asked + 1);
  assertEquals(bench.reads.begin(), true);
  bench.reads.end(true);
  assertEquals(bench.run(), ["late"]);
  assertEquals(bench.reads.begin(), false);
});

Deno.test("UnconfirmedReads: those of a round that failed wait for the next, before those that came meanwhile", () => {
  const bench = new Bench();
  bench.add("a");
  bench.reads.begin();
  bench.add("b");
  bench.reads.end(false);
  assertEquals(bench.run(), []);
  bench.reads.begin();
  bench.reads.end(true);
  assertEquals(bench.run(), ["a", "b"]);
});

Deno.test("UnconfirmedReads: what is confirmed and has not run can be asked for again, or fails with the others", () => {
  const bench = new Bench();
  bench.add("a");
  bench.reads.begin();
  bench.reads.end(true);
  bench.reads.askAgain();
  assertEquals(bench.run(), []);
  bench.add("b", 10);
  bench.nowMs = 11;
  bench.reads.tick(bench.nowMs);
  assertEquals(bench.answers.length, 1);
  bench.reads.failAll({ req_type: "error", code: "not_primary", message: "it steps down" });
  assertEquals(bench.answers.at(-1), "a: not_primary");
  assertEquals(bench.reads.size, 0);
});

Deno.test("UnconfirmedReads: so many wait, in whatever state, and one more is refused", () => {
  const bench = new Bench();
  for (let i = 0; i < WAITING_REQUESTS_MAX; i++) {
    bench.add(`${i}`);
    if (i === 10) bench.reads.begin();
  }
  bench.add("one more");
  assertEquals(bench.answers, ["one more: overloaded"]);
});
