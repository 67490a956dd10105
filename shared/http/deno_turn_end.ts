/**
 * The end of a turn of the event loop. The platform's HTTP server gives each request in a turn of microtasks of its own, even
 * if many have arrived together. Those that wait for the end are carried out together: their writes share a batch on the
 * disk, what is passed on shares a message to the other node, and their answers leave one behind the other. The
 * first answer wakes the client's process, which costs more than anything else in sending something short, and
 * the others find it awake.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** Gives all who wait in one turn the same end. */
export class TurnEnd {
  #next: Promise<void> | undefined;

  /** Ends when this turn of the event loop does: what has arrived was looked at. A process with nothing else to do ends it at once. */
  reached(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#next = undefined;
        resolve();
      });
    });
    return this.#next;
  }
}
