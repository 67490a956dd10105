import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import project from "../../../deno.json" with { type: "json" };
import { askJson } from "../../../tools/json_probe.ts";
import { parseReadyLine, type ReadyLine } from "../../../tools/server_process.ts";

const UP = new URL("../../../tools/up.ts", import.meta.url).pathname;
const CONFIG = new URL("../../../deno.json", import.meta.url).pathname;
/** The flags of its task, in any other folder. */
const FLAGS = project.tasks.up.command.split(" ").filter((word) => word.startsWith("--"));
const WAIT_BOUND_MS = 60_000;

/** `deno task up`, as a process. */
class Up implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #finished: Promise<unknown>;
  readonly #changed = new EventTarget();
  stdout = "";
  stderr = "";

  constructor(folder: string, ...flags: string[]) {
    const port = flags.some((flag) => flag.startsWith("--base-port")) ? [] : ["--base-port=0"];
    const task = flags.includes("task");
    const start = task
      ? ["task", "--quiet", "--config", CONFIG, "up"]
      : ["run", "--quiet", ...FLAGS, UP];
    const data = task ? `${folder}/data` : "data";
    const others = flags.filter((flag) => flag !== "task");
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...start, ...port, "--no-shell", `--data=${data}`, ...others],
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#finished = Promise.all([
      this.#collect(this.#child.stdout, (text) => this.stdout += text),
      this.#collect(this.#child.stderr, (text) => this.stderr += text),
    ]);
  }

  async #collect(from: ReadableStream<Uint8Array<ArrayBuffer>>, add: (text: string) => void) {
    for await (const text of from.pipeThrough(new TextDecoderStream())) {
      add(text);
      this.#changed.dispatchEvent(new Event("output"));
    }
  }

  /** The servers' ready lines, coordinator first. */
  get servers(): ReadyLine[] {
    return this.stdout.split("\n").flatMap((line) => parseReadyLine(line) ?? []);
  }

  /** Waits until its output fulfils a condition. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    while (!condition()) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) {
        throw new Error(`no ${what}; stdout: ${this.stdout}\nstderr: ${this.stderr}`);
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, leftMs);
        this.#changed.addEventListener("output", () => resolve(), { once: true });
      });
      clearTimeout(timer);
    }
  }

  async ready(): Promise<void> {
    await this.until("ready line", () => this.stdout.split("\n").includes("ready"));
  }

  async end(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    this.#child.kill(signal);
    return await this.ended();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async ended(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    await this.#finished;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGTERM lets it end its children; the second one makes it hurry.
    try {
      this.#child.kill("SIGTERM");
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.ended();
  }
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "kv-up-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Waits until nobody listens there: a process of which nobody takes note may stay as a zombie. */
async function untilSilent({ host: hostname, port }: ReadyLine): Promise<void> {
  const endMs = performance.now() + WAIT_BOUND_MS;
  while (performance.now() < endMs) {
    try {
      (await Deno.connect({ hostname, port })).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${hostname}:${port} still listens`);
}

function isRunning(pid: number): boolean {
  try {
    // SIGURG is ignored by default, and tells whether there is anybody.
    Deno.kill(pid, "SIGURG");
    return true;
  } catch {
    return false;
  }
}

Deno.test("up --secure: a secured cluster that says how it is used, and is one after a restart", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/data/coordinator.security/admin.json`;
    const ask = (server: ReadyLine | undefined, request: Record<string, unknown>) => {
      if (server === undefined) throw new Error("no server");
      return askJson(server, request, undefined, JSON.parse(Deno.readTextFileSync(file)));
    };
    await using first = new Up(folder, "--nodes=2", "--secure");
    await first.ready();
    assertStringIncludes(
      first.stdout,
      "export KV_CREDENTIALS=data/coordinator.security/admin.json KV_COORDINATOR=127.0.0.1:",
    );
    const put = await ask(first.servers[1], { req_type: "put", key: "k", value: "v" });
    assertEquals(put.req_type, "ack", JSON.stringify(put));
    const { code } = await first.end("SIGTERM");
    assertEquals([code, first.stderr], [0, ""]);
    assertEquals(first.stdout.includes("kv1."), false, "no token is shown");

    await using second = new Up(folder, "--nodes=2", "--secure");
    await second.ready();
    const got = await ask(second.servers[0], { req_type: "get", key: "k" });
    assertEquals(got.message, "v");
    await second.end("SIGTERM");

    await using open = new Up(folder, "--nodes=2");
    const refused = await open.ended();
    assertEquals(refused.success, false);
    assertStringIncludes(open.stderr, "--secure");
  });
});

Deno.test("up: is ready with all replicas, ends cleanly, and brings the data back", async () => {
  await withFolder(async (folder) => {
    await using first = new Up(folder, "--nodes=2");
    await first.ready();
    const [coordinator, ...nodes] = first.servers;
    assertEquals(coordinator?.program, "kv-coordinator");
    assertEquals(nodes.map(({ program }) => program), ["kv-node", "kv-node"]);
    const ports = first.servers.flatMap(({ port, facts }) => [port, facts.http]);
    assertEquals(new Set(ports).size, 6, "each listens on two ports of its own");
    const [node] = nodes;
    if (node === undefined) throw new Error("no node");
    const put = await askJson(node, { req_type: "put", key: "k", value: "v" });
    assertEquals(put.req_type, "ack", JSON.stringify(put));
    const { code } = await first.end("SIGTERM");
    assertEquals([code, first.stderr], [0, ""]);
    assertEquals(first.servers.filter(({ facts }) => isRunning(facts.pid ?? 0)), []);

    // One more node than before, and the other signal.
    await using second = new Up(folder, "--nodes=3");
    await second.ready();
    const third = second.servers[3];
    if (third === undefined) throw new Error("no third node");
    const get = await askJson(third, { req_type: "get", key: "k" });
    assertEquals([get.req_type, get.message], ["data", "v"]);
    assertEquals((await second.end("SIGINT")).code, 0);
    assertEquals(second.servers.filter(({ facts }) => isRunning(facts.pid ?? 0)), []);
  });
});

Deno.test("up: reports a child that dies, and goes on without it", async () => {
  await withFolder(async (folder) => {
    await using up = new Up(folder, "--nodes=2", "--storage=memory");
    await up.ready();
    const [coordinator, , victim] = up.servers;
    if (coordinator === undefined || victim === undefined) throw new Error("too few servers");
    Deno.kill(victim.facts.pid ?? 0, "SIGKILL");
    await up.until("report", () => up.stderr.includes("not restarted"));
    assertStringIncludes(up.stderr, `kv-node 127.0.0.1:${victim.port} (pid ${victim.facts.pid})`);
    assertStringIncludes(up.stderr, "SIGKILL");
    assertEquals((await askJson(coordinator, { req_type: "ping" })).req_type, "ack");
    assertEquals((await up.end("SIGTERM")).code, 0);
  });
});

Deno.test("up: says in one line why it cannot start, and leaves nothing behind", async () => {
  await withFolder(async (folder) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    await using busy = new Up(folder, `--base-port=${port}`);
    assertEquals((await busy.ended()).code, 1);
    assertMatch(busy.stderr, /^deno task up: coordinator .*another process has this port.*\n$/);
    await using wrong = new Up(folder, "--node=3");
    assertEquals((await wrong.ended()).code, 2);
    assertMatch(wrong.stderr, /^deno task up: unknown flag --node; did you mean --nodes\?.*\n$/);
  });
});

Deno.test("up: nothing outlives it, whether it is killed or what has started it", async () => {
  await withFolder(async (folder) => {
    // "task": what is killed is `deno task`, whose child up is.
    for (const flags of [[], ["task"]]) {
      await using up = new Up(folder, "--nodes=1", "--storage=memory", ...flags);
      await up.ready();
      // Whoever starts a second one is told by whom the folder is used.
      await using second = new Up(folder, "--nodes=1", "--storage=memory");
      const held = /data is in use by another process: deno task up, pid \d+, since 2/;
      await second.until("refusal", () => held.test(second.stderr));
      assertEquals((await second.ended()).code, 1);
      up.kill();
      for (const server of up.servers) await untilSilent(server);
    }
  });
});
