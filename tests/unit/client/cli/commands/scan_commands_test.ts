import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { CommandIo } from "../../../../../client/cli/command/command.ts";
import { KvClient } from "../../../../../client/library/kv_client.ts";
import { Session } from "../../../../../client/cli/session.ts";
import { CLIENT_SETTINGS } from "../../../../../client/cli/settings.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import { FakeNodes } from "../../../../support/worlds/fake_nodes.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOGINS } from "../../../../support/doubles/no_logins.ts";

/** A session on nodes in memory, and somebody at the terminal who gives these answers. */
class Bench {
  readonly clock = new ManualClock();
  readonly nodes = new FakeNodes(this.clock, new SeededRandom(3), 3, 8);
  readonly questions: string[] = [];
  readonly progress: string[] = [];
  readonly session: Session;
  answers: string[] | undefined;
  out = "";
  err = "";

  constructor(...keys: string[]) {
    for (const key of keys) this.nodes.put(key);
    const client = new KvClient({ clock: this.clock, router: this.nodes });
    const decoder = new TextDecoder();
    const io: CommandIo = {
      write: (data) => {
        this.out += typeof data === "string" ? data : decoder.decode(data);
        return Promise.resolve();
      },
      note: (text) => void (this.err += text + "\n"),
      input: undefined,
      openRead: () => Promise.reject(new Error("No such file")),
      createWhole: () => Promise.reject(new Error("Read-only")),
      openKvFile: () => Promise.reject(new Error("Read-only")),
      createKvFile: () => Promise.reject(new Error("Read-only")),
      openAnywhere: () => Promise.reject(new Error("Read-only")),
      progress: () => ({
        update: (_, text) => void this.progress.push(text),
        stop: () => void this.progress.push("stop"),
      }),
      screen: undefined,
      ask: undefined,
      askSecret: undefined,
    };
    this.session = new Session({
      logins: NO_LOGINS,
      client: () => Promise.resolve(client),
      io: Object.defineProperty(io, "ask", {
        get: () =>
          this.answers === undefined ? undefined : (question: string) => {
            this.questions.push(question);
            return Promise.resolve(this.answers?.shift() ?? "");
          },
      }),
      clock: this.clock,
      random: new SeededRandom(1),
      options: CLIENT_SETTINGS,
      settings: {
        json: false,
        raw: false,
        timeoutMs: 1_000,
        consistency: "strong",
        acks: "all",
        database: undefined,
        keyColumn: undefined,
        format: "auto",
        giveUpAfterMs: 1_000,
      },
    });
  }

  async line(text: string): Promise<[exitCode: number, printed: string]> {
    this.out = this.err = "";
    const state: { code: number | undefined } = { code: undefined };
    const run = this.session.runLine(text, new AbortController().signal);
    const end = run.then(({ exitCode }) => void (state.code = exitCode));
    for (let i = 0; state.code === undefined && i < 10_000; i++) await this.clock.run(5);
    await end;
    return [state.code ?? -1, this.out + this.err];
  }
}

Deno.test("scan prints keys in order, a part, backwards, from where another ended", async () => {
  const bench = new Bench("a:1", "a:2", "a:3", "b:1", "tab\tkey");
  const table: [line: string, exitCode: number, printed: string | RegExp][] = [
    [
      "scan",
      0,
      /^a:1\tvalue of a:1\na:2\t.*\na:3\t.*\nb:1\t.*\n"tab\\tkey"\t"value of tab\\tkey"\n$/s,
    ],
    ["scan a: --keys-only", 0, "a:1\na:2\na:3\n"],
    ["scan --prefix a: --keys-only --reverse --limit 2", 0, "a:3\na:2\n"],
    ["scan a: --keys-only --reverse --limit 2 --after a:2", 0, "a:1\n"],
    ["scan --keys-only --after a:2 --end b:2", 0, "a:3\nb:1\n"],
    ["scan --keys-only --after a:2 --start b:1 --end b:2", 0, "b:1\n"],
    ["scan a: --keys-only --limit 1 --json", 0, '{"key":"a:1"}\n'],
    ["scan nothing", 0, ""],
    ["count", 0, "5\n"],
    ["count a:", 0, "3\n"],
    ["count --start a:2 --end b --json", 0, '{"count":2}\n'],
    ["scan a: --prefix b:", 2, /--prefix is given twice/],
    ["scan --limit 0", 2, /--limit must be a whole number from 1/],
    ["scan --limit many", 2, /--limit must be a whole number/],
    ["scan --values", 2, /unknown option --values; it takes .*--keys-only/],
  ];
  for (const [line, exitCode, printed] of table) {
    const [code, text] = await bench.line(line);
    if (typeof printed === "string") assertEquals(text, printed, line);
    else assertMatch(text, printed, line);
    assertEquals(code, exitCode, line);
  }
  const [, printed] = await bench.line("scan a:1 --json");
  const { key, value, version } = JSON.parse(printed);
  assertEquals([key, value, typeof version], ["a:1", "value of a:1", "number"]);
});

Deno.test("delete-matching asks at a terminal, and says how many went", async () => {
  const bench = new Bench("a:1", "a:2", "b:1");
  for (const words of ["", ' ""', ' --prefix ""', ' --start "" --yes']) {
    const [code, text] = await bench.line(`delete-matching${words}`);
    assertEquals(code, 2, words);
    assertStringIncludes(text, "use flush-all --force", words);
  }
  bench.answers = ["no"];
  const [code, text] = await bench.line("delete-matching a:");
  assertEquals([code, bench.questions], [2, ["Delete 2 keys? (yes/no) "]]);
  assertStringIncludes(text, "nothing was deleted");
  bench.answers = ["yes"];
  assertEquals(await bench.line("delete-matching a:"), [0, "2 deleted\n"]);
  assertEquals(bench.progress.at(-1), "stop");
  assertEquals(await bench.line("scan --keys-only"), [0, "b:1\n"]);
  bench.answers = [];
  assertEquals(await bench.line("delete-matching b: --yes --json"), [0, '{"deleted":1}\n']);
  assertEquals(bench.questions.length, 2);
});

Deno.test("flush-all asks twice at a terminal, and wants --force elsewhere", async () => {
  const bench = new Bench("a", "b", "c");
  assertStringIncludes((await bench.line("flush-all"))[1], "give --force");
  for (const answers of [["no"], ["yes", "no"], ["yes", ""]]) {
    bench.answers = [...answers];
    assertEquals((await bench.line("flush-all"))[0], 2);
  }
  assertEquals(await bench.line("count"), [0, "3\n"]);
  assert(bench.questions[0]?.startsWith("Delete ALL 3 keys of the cluster "));
  const name = / ALL 3 keys of the cluster (\S+)\?/.exec(bench.questions[0] ?? "")?.[1] ?? "";
  bench.answers = ["yes", name];
  assertEquals(await bench.line("flush-all"), [0, "3 deleted\n"]);
  bench.answers = undefined;
  assertEquals(await bench.line("flush-all --force"), [0, "0 deleted\n"]);
});
