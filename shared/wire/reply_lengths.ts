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

  /**
   * Whether what it asks now is to be kept out of the way of others: one of the last HEAVY_REPLIES_REMEMBERED
   * replies was long, or there was none yet and it asks for more already, so that nobody knows how much comes.
   *
   * @param underWay its requests that are not answered, the one in question included
   */
  isHeavy(underWay: number): boolean {
    return this.#shortSince < HEAVY_REPLIES_REMEMBERED ||
      (this.#last === "unknown" && underWay > 1);
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
