/**
 * Replies to requests without an id, which are sent in the order in which the requests arrived. (A reply with an id
 * names its request, and is sent at once.)
 *
 * @module
 */

/** A request without an id, with its reply once that is there. */
export interface Turn {
  line: string | undefined;
}

/** The turns of one connection. */
export class ReplyTurns {
  /** Oldest first, beginning with the first unanswered one. */
  #turns: Turn[] = [];

  /** A request has arrived. */
  add(): Turn {
    const turn: Turn = { line: undefined };
    this.#turns.push(turn);
    return turn;
  }

  /** Sends the replies that no longer have one before them. */
  takeReady(send: (line: string) => void): void {
    let count = 0;
    for (const { line } of this.#turns) {
      if (line === undefined) break;
      send(line);
      count++;
    }
    if (count === this.#turns.length) this.#turns = [];
    else if (count > 0) this.#turns.splice(0, count);
  }

  /** Nobody wants them any more. @returns how many replies were there */
  clear(): number {
    const answered = this.#turns.filter(({ line }) => line !== undefined).length;
    this.#turns = [];
    return answered;
  }
}
