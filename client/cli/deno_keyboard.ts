/**
 * Questions to the person at the terminal, through Deno, for a command that is run by itself (the interactive shell asks
 * by its own line editor). Secrets are read in raw mode and not shown.
 *
 * Invariant: the terminal is as it was before when an answer is given, and when the process ends by Ctrl-C or a signal
 * that can be caught.
 *
 * @module
 */
import { escapeControls } from "../../shared/program/terminal.ts";
import { SecretLine } from "./command/secret_line.ts";

/** The exit codes of a process that ends by a signal. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Whoever sits there. */
export class Keyboard {
  /** What was typed in raw mode behind the last answer. */
  #typed: Uint8Array = new Uint8Array();

  /** A line, without blanks around it; Ctrl-D is an empty one. */
  async ask(question: string): Promise<string> {
    await say(question);
    const line = await this.#readLine();
    return line.trim();
  }

  async #readLine(): Promise<string> {
    // In its usual mode a terminal gives a line at a time.
    const bytes = this.#typed.length > 0 ? this.#typed : await readStdin();
    const end = bytes.findIndex((byte) => byte === 0x0a || byte === 0x0d);
    this.#typed = end < 0 ? new Uint8Array() : bytes.subarray(end + 1);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /**
   * A line that is not shown. Ctrl-C ends the process.
   *
   * @returns undefined for Ctrl-D
   * @throws {KvError} `bad_request` for what is no text, or too long
   */
  async askSecret(question: string): Promise<string | undefined> {
    const line = new SecretLine();
    // Before the question, so that nothing is shown of an answer that comes at once.
    const restore = rawMode();
    try {
      await say(question);
      for (;;) {
        const bytes = this.#typed.length > 0 ? this.#typed : await readStdin();
        this.#typed = new Uint8Array();
        // Nobody is there any more.
        if (bytes.length === 0) return undefined;
        const input = line.feed(bytes);
        if (input.kind === "more") continue;
        if (input.kind === "line") {
          this.#typed = input.rest;
          return input.text;
        }
        if (bytes.includes(0x03)) endBy("SIGINT", restore);
        return undefined;
      }
    } finally {
      restore();
      await say("\n");
    }
  }
}

/**
 * Switches the echo off.
 *
 * @param before what is to be done, too, if a signal ends the process
 * @returns what switches it on again
 */
export function rawMode(before: () => void = () => {}): () => void {
  const listeners = Object.keys(SIGNALS).map((name) => {
    const signal = name as keyof typeof SIGNALS;
    return [signal, () => {
      before();
      endBy(signal, restore);
    }] as const;
  });
  let isRaw = true;
  const restore = () => {
    if (!isRaw) return;
    isRaw = false;
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    Deno.stdin.setRaw(false);
  };
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  Deno.stdin.setRaw(true);
  return restore;
}

function endBy(signal: keyof typeof SIGNALS, restore: () => void): never {
  restore();
  Deno.stderr.writeSync(new TextEncoder().encode("\n"));
  Deno.exit(SIGNALS[signal]);
}

async function readStdin(): Promise<Uint8Array> {
  const buffer = new Uint8Array(1024);
  const count = await Deno.stdin.read(buffer) ?? 0;
  return buffer.subarray(0, count);
}

async function say(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(escapeControls(text));
  for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
}
