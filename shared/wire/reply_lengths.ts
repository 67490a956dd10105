/**
 * How long a connection's replies are: this tells which of its requests take turns with other heavy work.
 *
 * @module
 */
import { HEAVY_REPLIES_REMEMBERED, LONG_REPLY_BYTES } from "../limits/requests.ts";

/** The lengths of one connection's replies. */
export class ReplyLengths {
  #last: "unknown" | "light" | "heavy" = "unknown";
  #shortSince = HEAVY_REPLIES_REMEMBERED;

  /** How long the last reply was; `unknown` before the first. */
  get last(): "unknown" | "light" | "heavy" {
    return this.#last;
  }

  /**
   * Whether the current request must be kept out of the way of others: one of the last HEAVY_REPLIES_REMEMBERED
   * replies was long; or no reply has been given yet and the connection has asked for more already, so nobody
   * knows how much is coming.
   *
   * @param underWay the connection's unanswered requests, this one included
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
