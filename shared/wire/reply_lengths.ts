/**
 * How long the replies are that a connection gets: by that it is told which ones take turns.
 *
 * @module
 */
import { HEAVY_REPLIES_REMEMBERED, LONG_REPLY_BYTES } from "../base/limits.ts";

/** Of one connection. */
export class ReplyLengths {
  #last: "unknown" | "light" | "heavy" = "unknown";
  #shortSince = HEAVY_REPLIES_REMEMBERED;

  /** How long the last reply was; `unknown` before the first. */
  get last(): "unknown" | "light" | "heavy" {
    return this.#last;
  }

  /** One of the last HEAVY_REPLIES_REMEMBERED replies was long. */
  get heavyLately(): boolean {
    return this.#shortSince < HEAVY_REPLIES_REMEMBERED;
  }

  note(bytes: number): void {
    if (bytes > LONG_REPLY_BYTES) {
      this.#last = "heavy";
      this.#shortSince = 0;
    } else {
      this.#last = "light";
      if (this.#shortSince < HEAVY_REPLIES_REMEMBERED) this.#shortSince++;
    }
  }
}
