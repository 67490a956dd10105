/** The load generator's process, as seen by the code that gives it orders. @module */
import type { LoadOrder, LoadReply, LoadResult } from "./order.ts";

/** Gives orders, one at a time. */
export class LoadGenerator {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net",
        "--allow-read",
        // For a store that is a file.
        "--allow-write",
        "--unstable-kv",
        new URL("./generator_main.ts", import.meta.url).pathname,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Carries out an order. @throws if a connection fails or answers do not come */
  async run(order: LoadOrder): Promise<LoadResult> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the load generator has ended");
    const reply: LoadReply = JSON.parse(value);
    if ("error" in reply) throw new Error(`load generator: ${reply.error}`);
    return reply.result;
  }

  async close(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
