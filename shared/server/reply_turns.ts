/**
 * Replies to requests without an id, which are sent in the order in which the requests came. (A reply that has
 * an id says itself what it answers, and goes at once.)
 *
 * @module
 */

/** A request without an id, and its reply once that is there. */
export interface Turn {
  line: string | undefined;
}

/** The turns of one connection. */
export class ReplyTurns {
  /** Oldest first, from the first that is not answered. */
  #turns: Turn[] = [];

  /** A request has come. */
  add(): Turn {
    const turn: Turn = { line: undefined };
    this.#turns.push(turn);
    return turn;
  }

  /** Gives the replies that nothing is before any more. */
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
