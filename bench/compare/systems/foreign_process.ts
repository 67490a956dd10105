/**
 * A server that is not ours, as a child process: started, waited for until it answers, ended by its
 * process id.
 *
 * @module
 */

const READY_TIMEOUT_MS = 20_000;
const POLL_MS = 50;
const STOP_GRACE_MS = 10_000;
const LOG_CHARACTERS_KEPT = 4_000;

/** A running server. */
export class ForeignProcess {
  readonly #child: Deno.ChildProcess;
  readonly #command: string;
  #log = "";
  #ended = false;

  constructor(command: string, args: readonly string[], cwd: string) {
    this.#command = command;
    this.#child = new Deno.Command(command, {
      args: [...args],
      cwd,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#keep(this.#child.stdout);
    this.#keep(this.#child.stderr);
    this.#child.status.then(() => {
      this.#ended = true;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until `answers` does not throw. */
  async untilReady(answers: () => Promise<void>): Promise<void> {
    const endMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      try {
        return await answers();
      } catch (error) {
        if (this.#ended || performance.now() > endMs) {
          throw new Error(`${this.#command} is not ready: ${error}\n${this.#log}`);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    await this.#child.status;
    clearTimeout(timer);
  }

  async #keep(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#log = (this.#log + text).slice(-LOG_CHARACTERS_KEPT);
    }
  }
}

/** What a program prints, or undefined if it is not installed. */
export async function outputOf(
  command: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(command, { args: [...args], stderr: "null" })
      .output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
