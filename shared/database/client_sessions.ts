/**
 * Numbers for requests that must not happen twice. A client session carries one request at a time; a request that
 * is sent again keeps its client session and number, so that the cluster can tell.
 *
 * @module
 */

/** A client session for one request. */
export interface ClientSession {
  readonly session: string;
  readonly request_number: number;
}

/** The client sessions of one client. As many come into being as requests are under way at the same time. */
export class ClientSessions {
  readonly #client: string;
  readonly #free: ClientSession[] = [];
  #made = 0;

  /** @param client a name that no other client has */
  constructor(client: string) {
    this.#client = client;
  }

  /** A client session of one's own, with its next number. */
  take(): ClientSession {
    const held = this.#free.pop() ??
      { session: `${this.#client}.${this.#made++}`, request_number: 0 };
    return { session: held.session, request_number: held.request_number + 1 };
  }

  /** Gives it back; also after an unknown outcome: the next number fences the last one off. */
  give(session: ClientSession): void {
    this.#free.push(session);
  }

  /** Runs a request in a client session of its own. */
  async run<T>(request: (session: ClientSession) => Promise<T>): Promise<T> {
    const held = this.take();
    try {
      return await request(held);
    } finally {
      this.give(held);
    }
  }
}
