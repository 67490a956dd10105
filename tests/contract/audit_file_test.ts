/** The audit log's file: rotation, bounds, and a disk that takes nothing. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { AUDIT_FILES_KEPT, AUDIT_WAITING_CHARACTERS_MAX } from "../../shared/limits/security.ts";
import { AuditFile } from "../../shared/security/members/file_audit.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

class Bench implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly said: string[] = [];
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-audit-test-" }));
  }

  get path(): string {
    return `${this.folder}/audit.log`;
  }

  file(bytesMax?: number): AuditFile {
    const say = (level: string) => (event: string) => void this.said.push(`${level}: ${event}`);
    const log = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
    return new AuditFile(this.path, { clock: this.clock, log }, bytesMax);
  }

  /** The lines of all files, the oldest first. */
  async lines(): Promise<string[]> {
    const texts: string[] = [];
    for (let n = AUDIT_FILES_KEPT + 1; n >= 0; n--) {
      const path = n === 0 ? this.path : `${this.path}.${n}`;
      texts.push(await Deno.readTextFile(path).catch(() => ""));
    }
    return texts.join("").split("\n").filter((line) => line !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

const line = (n: number) => JSON.stringify({ n, more: "x".repeat(40) }) + "\n";
const numbers = (lines: string[]) => lines.map((text) => JSON.parse(text).n);

Deno.test("AuditFile: lines are gathered for a moment and appended, for the owner alone", async () => {
  await using bench = await Bench.make();
  const file = bench.file();
  file.add(line(1));
  file.add(line(2));
  assertEquals(await bench.lines(), []);
  await bench.clock.run(100);
  assertEquals(numbers(await bench.lines()), [1, 2]);
  file.add(line(3));
  file.flush();
  bench.file().add(line(4));
  await bench.clock.run(100);
  assertEquals(numbers(await bench.lines()), [1, 2, 3, 4]);
  assertEquals(((await Deno.stat(bench.path)).mode ?? 0) & 0o777, 0o600);
});

Deno.test("AuditFile: begins a new file at its size, and keeps a bounded number of old ones", async () => {
  await using bench = await Bench.make();
  const size = line(1).length;
  const file = bench.file(2 * size);
  for (let n = 10; n < 99; n++) {
    file.add(line(n));
    file.flush();
  }
  const names = (await Array.fromAsync(Deno.readDir(bench.folder))).map(({ name }) => name);
  assertEquals(names.length, AUDIT_FILES_KEPT + 1);
  for (const name of names) {
    assert((await Deno.stat(`${bench.folder}/${name}`)).size <= 2 * size + 2, name);
  }
  const kept = numbers(await bench.lines());
  assertEquals(kept, kept.toSorted());
  assertEquals(kept.at(-1), 98);
});

Deno.test("AuditFile: what cannot be written is told once, kept while there is room, and counted", async () => {
  await using bench = await Bench.make();
  const file = bench.file();
  // Nothing can be appended to a folder.
  await Deno.mkdir(bench.path);
  file.add(line(1));
  assertThrows(() => file.flush(), KvError, "cannot be written");
  await bench.clock.run(100);
  file.add(line(2));
  await bench.clock.run(100);
  assertEquals(bench.said, ["error: the audit log cannot be written; requests go on without it"]);
  const long = (n: number) => JSON.stringify({ n, more: "x".repeat(10_000) }) + "\n";
  const lines = Math.ceil(AUDIT_WAITING_CHARACTERS_MAX / 10_000) + 20;
  for (let n = 3; n < lines; n++) file.add(long(n));
  await Deno.remove(bench.path);
  await bench.clock.run(100);
  assertEquals(bench.said.length, 2);
  const [first, ...rest] = (await bench.lines()).map((text) => JSON.parse(text));
  assertEquals(first.event, "lost");
  assertEquals(first.lines + rest.length, lines - 1);
  assertEquals(rest.map(({ n }) => n), rest.map((_, i) => i + 1));
});
