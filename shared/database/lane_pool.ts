/**
 * Numbers for requests that must not happen twice. A lane carries one request at a time; a request that
 * is sent again keeps its lane and number, so that the cluster can tell.
 *
 * @module
 */

/** A lane for one request. */
export interface Lane {
  readonly lane: string;
  readonly op: number;
}

/** The lanes of one client. As many come into being as requests are under way at the same time. */
export class Lanes {
  readonly #client: string;
  readonly #free: Lane[] = [];
  #made = 0;

  /** @param client a name that no other client has */
  constructor(client: string) {
    this.#client = client;
  }

  /** A lane of one's own, with its next number. */
  take(): Lane {
    const held = this.#free.pop() ?? { lane: `${this.#client}.${this.#made++}`, op: 0 };
    return { lane: held.lane, op: held.op + 1 };
  }

  /** Gives it back; also after an unknown outcome: the next number fences the last one off. */
  give(lane: Lane): void {
    this.#free.push(lane);
  }

  /** Runs a request in a lane of its own. */
  async run<T>(request: (lane: Lane) => Promise<T>): Promise<T> {
    const held = this.take();
    try {
      return await request(held);
    } finally {
      this.give(held);
    }
  }
}
