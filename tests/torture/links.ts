/**
 * Which way is open between the processes of a torture run, and how slow it is. The proxies ask here;
 * the nemesis decides.
 *
 * @module
 */

/** One direction between two processes, named by node id, `coordinator` or `client`. */
export interface Way {
  /** Nothing gets through: streams hold what they carry, datagrams are lost. */
  cut: boolean;
  delayMs: number;
}

const OPEN: Way = { cut: false, delayMs: 0 };

/** All ways. */
export class Links {
  readonly #ways = new Map<string, Way>();
  #changed = Promise.withResolvers<void>();

  /** How the way from one process to another is now. */
  way(from: string, to: string): Way {
    return this.#ways.get(`${from} ${to}`) ?? OPEN;
  }

  /** Changes a way. */
  set(from: string, to: string, change: Partial<Way>): void {
    this.#ways.set(`${from} ${to}`, { ...this.way(from, to), ...change });
    this.#wake();
  }

  /** All ways are open and fast. */
  heal(): void {
    this.#ways.clear();
    this.#wake();
  }

  /** Resolves when something may get through, as late as the way is slow. */
  async pass(from: string, to: string): Promise<void> {
    while (this.way(from, to).cut) await this.#changed.promise;
    const { delayMs } = this.way(from, to);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
