/**
 * The watches of a database in memory: each is told `level` at once, and then what the test, or the database, tells all
 * of them, whatever they watch.
 *
 * @module
 */
import type { Watch } from "../../../shared/database/database.ts";
import type { Entry } from "../../../shared/base/entry.ts";
import { errorReply } from "../../../shared/operations/operation.ts";
import { changeOf, type WatchedEvent } from "../../../shared/watch/watch_event.ts";
import type { Message } from "../../../shared/wire/messages.ts";

type Told = WatchedEvent | Message<"error">;

/** See the top of this file. */
export class ScriptedWatches {
  readonly #tells = new Set<(event: Told) => void>();
  /** Whether a new one is told `level` by itself. */
  level = true;

  /** How many there are. */
  get size(): number {
    return this.#tells.size;
  }

  /** Tells all of them. */
  tell(type: WatchedEvent["type"], entry?: Entry): void {
    const event = { type, token: () => "AQ", ...(entry === undefined ? {} : { entry }) };
    for (const tell of this.#tells) tell(event);
  }

  /** Tells all of them of a write. */
  tellChange(entry: Entry): void {
    this.tell(changeOf(entry), entry);
  }

  /** All of them end. */
  fail(): void {
    for (const tell of this.#tells) tell(errorReply("unavailable", "it stops"));
    this.#tells.clear();
  }

  watch(): Watch {
    const told: Told[] = [];
    let waiting: ((events: readonly WatchedEvent[] | Message<"error">) => void) | undefined;
    const give = () => {
      const [first] = told;
      if (waiting === undefined || first === undefined) return;
      const done = waiting;
      waiting = undefined;
      if ("req_type" in first) done(first);
      else done(told.splice(0) as WatchedEvent[]);
    };
    const tell = (event: Told) => {
      told.push(event);
      queueMicrotask(give);
    };
    this.#tells.add(tell);
    if (this.level) tell({ type: "level", token: () => "AQ" });
    return {
      next: (done) => {
        waiting = done;
        queueMicrotask(give);
      },
      close: () => {
        waiting = undefined;
        this.#tells.delete(tell);
      },
    };
  }
}
