/** What people meet at a terminal, at a pseudo-terminal. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import project from "../../../deno.json" with { type: "json" };
import { CLIENT } from "../../../tools/programs.ts";
import { needing } from "../../support/needs.ts";
import { PSEUDO_TERMINAL, Terminal } from "../../support/terminal.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

function clientAt(port: number, ...args: string[]): string[] {
  const program = [Deno.execPath(), "run", "--quiet", "--no-prompt", ...CLIENT.permissions];
  return [...program, ROOT + CLIENT.entry, `--coordinator=127.0.0.1:${port}`, ...args];
}

/** C0, C1 and bidirectional characters, and a sequence that clears the screen. */
const HOSTILE = "a\x1b[2J\x07\x9b31m\u202eb\x7fc";
const SHOWN = "a\\u001b[2J\\u0007\\u009b31m\\u202eb\\u007fc";
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]/;

Deno.test({
  ...needing(
    "kv-client: what others stored or said controls no terminal; a pipe gets it as it is",
    PSEUDO_TERMINAL,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      storage: "memory",
      nodeFlags: [`--zone=${HOSTILE}`],
    });
    const { port } = cluster.coordinatorAddress;
    await using kv = await cluster.connect();
    await kv.put(`k${HOSTILE}`, HOSTILE);
    await kv.put("k", HOSTILE);
    await kv.put("bytes", new Uint8Array([0x61, 0x9b, 0x33, 0x31, 0x6d]));
    const commands: string[][] = [
      ["get", "k"],
      ["get", "--raw", "k"],
      ["get", "--json", "k"],
      ["get", "bytes"],
      ["get-many", "k", `k${HOSTILE}`],
      ["put", "k", HOSTILE, "--previous"],
      ["scan"],
      ["scan", "--json"],
      ["scan", "--keys-only"],
      ["export"],
      ["list-nodes"],
      ["list-nodes", "--json"],
      ["stats"],
      ["get", `no${HOSTILE}`],
      ["get", `no${HOSTILE}`, "--json"],
      [HOSTILE],
      ["increment", `k${HOSTILE}`],
    ];
    for (const words of commands) {
      await using terminal = new Terminal(clientAt(port, ...words));
      await terminal.ended();
      const { output } = terminal;
      assert(output !== "" && !CONTROLS.test(output), `${words[0]}: ${JSON.stringify(output)}`);
    }
    await using terminal = new Terminal(clientAt(port, "get", "k"));
    assertEquals([await terminal.ended(), terminal.output], [0, `${SHOWN}\r\n`]);

    assertEquals((await cluster.client("get", "k")).stdout, `${HOSTILE}\n`);
    assertStringIncludes((await cluster.client("list-nodes")).stdout, HOSTILE);
  },
});

Deno.test({
  ...needing(
    "kv-client: at the prompt Ctrl-C drops the line, and a second one in a row leaves",
    PSEUDO_TERMINAL,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      storage: "memory",
    });
    const { port } = cluster.coordinatorAddress;
    await using terminal = new Terminal(clientAt(port));
    let at = await terminal.until(/kv> /);
    await terminal.type("put k half");
    at = await terminal.until(/half/, at);
    await terminal.type("\x03");
    at = await terminal.until(/\n.*kv> /s, at);
    // At an empty prompt, once: it is said how to leave, and what is typed then counts.
    await terminal.type("\x03");
    at = await terminal.until(/Ctrl-C again.*\n.*kv> /s, at);
    await terminal.type("get k\r");
    at = await terminal.until(/not_found: get: no such key "k"\s.*kv> /s, at);
    await terminal.type("\x03");
    at = await terminal.until(/Ctrl-C again.*\n.*kv> /s, at);
    await terminal.type("\x03");
    await terminal.until(/TATA/, at);
    assertEquals(await terminal.ended(), 0);
  },
});

Deno.test({
  ...needing("kv-client: delete-matching takes y for yes", PSEUDO_TERMINAL),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      storage: "memory",
    });
    await cluster.client("put-many", "a:1", "x", "a:2", "x");
    const { port } = cluster.coordinatorAddress;
    for (const [answer, shown] of [["n", /nothing was deleted/], ["y", /2 deleted/]] as const) {
      await using terminal = new Terminal(clientAt(port, "delete-matching", "a:"));
      await terminal.until(/Delete 2 keys\? \(yes\/no\) /);
      await terminal.type(`${answer}\r`);
      await terminal.ended();
      assertMatch(terminal.output, shown);
    }
  },
});

/** How each task of deno.json is begun, with as little to do as shows that it, and what it starts, asks nothing. */
interface TaskRun {
  readonly words: readonly string[];
  /** Shown when it has got through its start; then `typed` ends it. Default: it ends by itself. */
  readonly until?: RegExp;
  readonly typed?: string;
}

/** Why a task is not begun. */
type LeftOut = string;

function taskRuns(folder: string): Record<string, TaskRun | LeftOut> {
  const ports = ["--port=0", "--http-port=0"];
  const ctrlC = "\x03";
  return {
    up: {
      words: ["--base-port=0", "--nodes=1", `--data=${folder}/up`],
      until: /kv> /,
      typed: "exit\r",
    },
    node: {
      words: [...ports, "--standalone", `--data=${folder}/node`],
      until: /pid=\d+/,
      typed: ctrlC,
    },
    coordinator: {
      words: [
        ...ports,
        "--heartbeat-port=0",
        "--discovery=off",
        `--data=${folder}/c`,
        "--no-cs-config",
      ],
      until: /pid=\d+/,
      typed: ctrlC,
    },
    client: { words: ["--coordinator=127.0.0.1:1", "--timeout-ms=200", "get", "k"] },
    bench: { words: ["ring", "--quick", `--json=${folder}/bench.json`] },
    sim: { words: ["--seeds=1", "--from=1", "--storm=2"] },
    scenarios: { words: [] },
    // Their work takes minutes.
    build: { words: ["--help"] },
    pack: { words: ["--help"] },
    test: { words: ["--help"] },
    ok: { words: ["--help"] },
    "sim:mutations": { words: ["--help"] },
    fuzz: { words: ["--help"] },
    torture: { words: ["--help"] },
    compare: { words: ["--help"] },
    "test:binaries": "needs what `build` makes",
    docs: "writes into the working tree",
    console: "writes into the working tree",
    "scripts:worker": "writes into the working tree",
  };
}

Deno.test({
  ...needing("tasks: none asks for a permission at a terminal", PSEUDO_TERMINAL),
  fn: async (t) => {
    const folder = await Deno.makeTempDir();
    const runs = taskRuns(folder);
    assertEquals(Object.keys(runs).sort(), Object.keys(project.tasks).sort());
    try {
      for (const [name, run] of Object.entries(runs)) {
        if (typeof run === "string") continue;
        await t.step(name, async () => {
          const task = [Deno.execPath(), "task", "--quiet", "--config", `${ROOT}deno.json`, name];
          await using terminal = new Terminal([...task, ...run.words]);
          if (run.until !== undefined) {
            await terminal.until(run.until);
            await terminal.type(run.typed ?? "");
          }
          await terminal.ended();
          const { output } = terminal;
          assert(output.trim() !== "", "it says something");
          assertEquals(/permission|Allow\?/i.test(output), false, output);
        });
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
