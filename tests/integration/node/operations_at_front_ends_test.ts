/**
 * Every operation through every front end of one real node, from one table: the front ends cannot differ.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { connect, type KvClient } from "../../../client/mod.ts";
import { operationsAt } from "../../../shared/arguments/request_words.ts";
import { CLIENT, NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import {
  type Asked,
  bytesText,
  httpFrontEnd,
  libraryFrontEnd,
  type OpenFrontEnd,
  respFrontEnd,
  shellAnswer,
  shellLine,
  textBytes,
  wireFrontEnd,
} from "../../support/clients/front_ends.ts";
import {
  type Answer,
  OPERATION_CASES,
  type OperationCase,
} from "../../support/data/operation_cases.ts";

const HOUR_MS = 3_600_000;

/** One node and a client of it. */
class Bench implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly process: ServerProcess,
    readonly client: KvClient,
    readonly ports: { readonly tcp: number; readonly http: number },
  ) {}

  static async start(): Promise<Bench> {
    const folder = await Deno.makeTempDir({ prefix: "kv-frontEnds-" });
    const args = ["--port=0", "--http-port=0", "--standalone", "--storage=memory"];
    const process = ServerProcess.start(NODE, [...args, "--partitions=8"], {
      cwd: folder,
      detached: false,
    });
    const { port, facts } = await process.ready;
    const client = await connect({ coordinator: `127.0.0.1:${port}` });
    return new Bench(folder, process, client, { tcp: port, http: facts.http ?? 0 });
  }

  get tcp() {
    return { host: "127.0.0.1", port: this.ports.tcp };
  }

  get http() {
    return { host: "127.0.0.1", port: this.ports.http };
  }

  /** Brings the key into the state before a case. @returns what is asked */
  async prepare({ before, expiring, ...row }: OperationCase, key: string): Promise<Asked> {
    const ttl = expiring === true ? { ttlMs: 2 * HOUR_MS } : {};
    const version = before === undefined ? 0 : await this.client.put(key, textBytes(before), ttl);
    const versions: Record<string, string> = {
      $version: String(version),
      $other: String(version + 1_000),
    };
    const options = (row.options ?? []).map(([name, word]): [string, string?] =>
      word === undefined ? [name] : [name, versions[String(word)] ?? String(word)]
    );
    return { operation: row.operation, words: [key, ...row.words ?? []], options };
  }

  /** What the key is after a case. */
  async after(key: string): Promise<[value: string | undefined, expires: boolean]> {
    const entry = await this.client.getEntry(key);
    return [entry && bytesText(entry.value), entry?.expiresAtMs !== undefined];
  }

  /** Runs `kv-client` to its end. */
  async kvClient(args: readonly string[], input: string): Promise<string> {
    const root = new URL("../../..", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", ...CLIENT.permissions, root + CLIENT.entry],
        ...["--coordinator", `127.0.0.1:${this.ports.tcp}`, ...args],
      ],
      cwd: this.folder,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    return new TextDecoder().decode((await child.output()).stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.process.crash();
    await Deno.remove(this.folder, { recursive: true });
  }
}

function title({ operation, before, words = [], options = [] }: OperationCase): string {
  const given = [...words, ...options.flat()].join(" ");
  return `${operation} ${given} on ${before === undefined ? "nothing" : JSON.stringify(before)}`;
}

async function runAll(bench: Bench, frontEnd: OpenFrontEnd, name: string): Promise<void> {
  for (const [i, row] of OPERATION_CASES.entries()) {
    const key = `${name} key ${i}`;
    const asked = await bench.prepare(row, key);
    await compare(bench, row, key, name, await frontEnd.ask(asked));
  }
  frontEnd.close();
}

async function compare(
  bench: Bench,
  row: OperationCase,
  key: string,
  frontEnd: string,
  answer: Answer,
): Promise<void> {
  const what = `${frontEnd}: ${title(row)}`;
  assertEquals(answer, row.answer, what);
  assertEquals(await bench.after(key), [row.after, row.expiresAfter === true], what);
}

Deno.test("OPERATION_CASES: every operation of the table has cases", () => {
  const covered = new Set(OPERATION_CASES.map(({ operation }) => operation));
  assertEquals(operationsAt("shell").filter((name) => !covered.has(name)), []);
});

Deno.test("every operation means the same through the library, the JSON wire, HTTP and RESP", async () => {
  await using bench = await Bench.start();
  await runAll(bench, libraryFrontEnd(bench.client), "library");
  await runAll(bench, await wireFrontEnd(bench.tcp), "wire");
  await runAll(bench, httpFrontEnd(bench.http), "http");
  await runAll(bench, await respFrontEnd(bench.tcp), "resp");
});

Deno.test("every operation means the same in the shell, and one-shot", async () => {
  await using bench = await Bench.start();
  const keyOf = (i: number) => `shell key ${i}`;
  const asked: Asked[] = [];
  for (const [i, row] of OPERATION_CASES.entries()) asked.push(await bench.prepare(row, keyOf(i)));
  // `--acks` and `--consistency` are options of a line too.
  const script = asked.map((one) => shellLine(one) + "\n").join("");
  const printed = (await bench.kvClient(["--json"], script)).trimEnd().split("\n");
  assertEquals(printed.length, OPERATION_CASES.length);
  for (const [i, row] of OPERATION_CASES.entries()) {
    await compare(bench, row, keyOf(i), "shell", shellAnswer(printed[i] ?? ""));
  }
  const one = await bench.kvClient(["--json", "put", "k", "-5", "--ttl", "10m", "--previous"], "");
  assertEquals(shellAnswer(one), { kind: "ack" });
  const two = await bench.kvClient(["increment", "k", "-3"], "");
  assertEquals(two, "-8\n");
  assertEquals(await bench.after("k"), ["-8", true]);
});
