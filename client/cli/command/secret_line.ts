/**
 * A line that is typed at a terminal in raw mode and not shown, such as a password: it is given the bytes of the keys,
 * and says when the line has ended. Pure; `deno_io.ts` and `shell.ts` read the keys.
 *
 * Backspace removes a character, Ctrl-U and Ctrl-W all of them. Arrows and other keys without a character do nothing.
 * Ctrl-C, and Ctrl-D at the beginning, end it without a line.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { PASSWORD_BYTES_MAX } from "../../../shared/limits/security.ts";

/** What came of some bytes. */
export type SecretInput =
  | { readonly kind: "more" }
  /** `rest` was typed, or pasted, behind the line. */
  | { readonly kind: "line"; readonly text: string; readonly rest: Uint8Array }
  | { readonly kind: "cancelled" };

const [CTRL_C, CTRL_D, BACKSPACE, TAB, LF, CR, CTRL_U, CTRL_W, ESCAPE, SPACE, DELETE] = [
  0x03,
  0x04,
  0x08,
  0x09,
  0x0a,
  0x0d,
  0x15,
  0x17,
  0x1b,
  0x20,
  0x7f,
];
const BRACKET = 0x5b;
const LETTER_O = 0x4f;
/** Whoever types cannot see that nothing more is taken, so more is refused and not cut. */
const BYTES_MAX = 4 * PASSWORD_BYTES_MAX;

/** A line that is being typed. */
export class SecretLine {
  readonly #bytes: number[] = [];
  /** Of a key that is an escape sequence (ECMA-48, section 5.4): what has come of it. */
  #escape: "no" | "begun" | "sequence" = "no";

  /** @throws {KvError} `bad_request` for a line that is too long or is not UTF-8 */
  feed(chunk: Uint8Array): SecretInput {
    for (const [i, byte] of chunk.entries()) {
      if (this.#isOfAKey(byte)) continue;
      if (byte === CR || byte === LF) {
        const next = byte === CR && chunk[i + 1] === LF ? i + 2 : i + 1;
        return { kind: "line", text: this.#text(), rest: chunk.subarray(next) };
      }
      if (byte === CTRL_C || (byte === CTRL_D && this.#bytes.length === 0)) {
        return { kind: "cancelled" };
      }
      this.#take(byte);
    }
    return { kind: "more" };
  }

  /** Whether a byte belongs to an escape sequence. */
  #isOfAKey(byte: number): boolean {
    switch (this.#escape) {
      case "no":
        if (byte !== ESCAPE) return false;
        this.#escape = "begun";
        return true;
      case "begun":
        this.#escape = byte === BRACKET || byte === LETTER_O ? "sequence" : "no";
        // Escape by itself is no key of a password; the end of the line behind it counts.
        return this.#escape === "sequence" || byte >= SPACE;
      case "sequence":
        // Parameters, until a letter or ~.
        if (byte >= 0x40 && byte <= 0x7e) this.#escape = "no";
        return true;
    }
  }

  #take(byte: number): void {
    const bytes = this.#bytes;
    if (byte === CTRL_U || byte === CTRL_W) bytes.length = 0;
    else if (byte === BACKSPACE || byte === DELETE) {
      // The bytes of one character: those that go on with it, and the one that begins it.
      while (((bytes.at(-1) ?? 0) & 0xc0) === 0x80) bytes.pop();
      bytes.pop();
    } else if (byte >= SPACE || byte === TAB) bytes.push(byte);
    if (bytes.length > BYTES_MAX) {
      throw new KvError("bad_request", `a secret may have ${PASSWORD_BYTES_MAX} bytes, not more`);
    }
  }

  #text(): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(new Uint8Array(this.#bytes));
    } catch (cause) {
      throw new KvError("bad_request", "what was typed is not valid UTF-8", { cause });
    }
  }
}
