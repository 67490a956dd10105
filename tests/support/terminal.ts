/**
 * A pseudo-terminal with a program in it, by `script` of util-linux (a part of every Debian) or of macOS:
 * the program believes that a person sits there.
 *
 * @module
 */
import { hasProgram } from "./needs.ts";

const WAIT_BOUND_MS = 120_000;

/** For {@linkcode needing}. */
export const PSEUDO_TERMINAL = {
  met: hasProgram("script", Deno.build.os === "darwin" ? "-q" : "--version", "/dev/null", "true"),
  otherwise: "no program script",
};

/** A program at a terminal. */
export class Terminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #finished: Promise<void>;
  readonly #changed = new EventTarget();
  /** All that it has shown, controls and echo included. */
  output = "";

  /** Starts a program. @param words it and its arguments */
  constructor(words: readonly string[], options: Deno.CommandOptions = {}) {
    const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const args = Deno.build.os === "darwin"
      ? ["-q", "/dev/null", "sh", "-c", line]
      : ["--quiet", "--return", "--flush", "--command", line, "/dev/null"];
    this.#child = new Deno.Command("script", {
      ...options,
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#finished = this.#collect();
  }

  async #collect(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.output += text;
      this.#changed.dispatchEvent(new Event("output"));
    }
    this.#changed.dispatchEvent(new Event("output"));
  }

  /** Of `script`, whose child the program is. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Types. */
  async type(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Waits until what was shown from a place on matches. @returns the place behind the match */
  async until(pattern: RegExp, from = 0): Promise<number> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let ended = false;
    const finished = this.#finished.then(() => void (ended = true));
    for (;;) {
      const match = pattern.exec(this.output.slice(from));
      if (match !== null) return from + match.index + match[0].length;
      const leftMs = endMs - performance.now();
      if (ended || leftMs <= 0) {
        throw new Error(
          `no ${pattern} at the terminal: ${JSON.stringify(this.output.slice(from))}`,
        );
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      const changed = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, leftMs);
        this.#changed.addEventListener("output", () => resolve(), { once: true });
      });
      await Promise.race([changed, finished]);
      clearTimeout(timer);
    }
  }

  /** Waits for its end. @returns the program's exit code */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#finished;
    await this.#input.close().catch(() => {});
    return code;
  }

  /** Sends a signal to `script`; when it ends, the terminal hangs up. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It ended a moment ago.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGTERM");
    await this.ended();
  }
}
