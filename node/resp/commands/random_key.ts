/**
 * Some key of the database, for RANDOMKEY. Keys are in order and cannot be numbered. So it walks down the
 * prefixes of keys: at each step to a random byte between the first and the last that occur there; then
 * it chooses at random among a few keys. This is not uniform: a key far from others is chosen more often than
 * one among many.
 *
 * @module
 */
import { bytesOfKey, keyOfBytes } from "../../../shared/base/key_text.ts";
import type { Database, ScanPage } from "../../../shared/database/database.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import type { Message } from "../../../shared/wire/messages.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";

/** The number of steps down; after that it chooses among the keys that follow. */
const STEPS_MAX = 3;
const PAGE_KEYS = 64;

type Done = (result: string | undefined | Message<"error">) => void;

/** Finds a key; `done` gets undefined if there is none. */
export function findRandomKey(database: Database, random: Random, done: Done): void {
  new Walk(database, random, done).begin();
}

class Walk {
  readonly #database: Database;
  readonly #random: Random;
  readonly #done: Done;
  #prefix = "";
  #steps = 0;

  constructor(database: Database, random: Random, done: Done) {
    this.#database = database;
    this.#random = random;
    this.#done = done;
  }

  begin(): void {
    this.#scan({ limit: PAGE_KEYS }, (page) => {
      const { entries, next } = page;
      const first = entries[0];
      if (next === undefined || first === undefined) {
        if (next !== undefined) this.#finishFrom(next);
        else this.#chooseOf(page);
        return;
      }
      if (this.#steps++ >= STEPS_MAX) {
        this.#chooseOf(page);
        return;
      }
      this.#scan({ limit: 1, reverse: true }, (end) => {
        const last = end.entries[0];
        if (last === undefined) this.#chooseOf(page);
        else this.#step(first.key, last.key, page);
      });
    });
  }

  /** Goes on after the common prefix of all keys of the range. */
  #step(first: string, last: string, page: ScanPage): void {
    const a = bytesOfKey(first);
    const b = bytesOfKey(last);
    let common = 0;
    while (common < a.length && common < b.length && a[common] === b[common]) common++;
    const low = a[common] ?? 0;
    const high = b[common];
    if (high === undefined || high <= low) {
      this.#chooseOf(page);
      return;
    }
    const bytes = b.slice(0, common + 1);
    bytes[common] = low + randomBelow(this.#random, high - low + 1);
    const start = keyOfBytes(bytes);
    // The first key from there on shows the next byte that occurs: not every one does.
    this.#scan({ limit: 1, start }, ({ entries }) => {
      const found = entries[0] === undefined ? undefined : bytesOfKey(entries[0].key);
      if (found === undefined) {
        this.#chooseOf(page);
        return;
      }
      this.#prefix = keyOfBytes(found.subarray(0, common + 1));
      this.begin();
    });
  }

  /** Pages may be empty although more follows: what was there has been deleted. */
  #finishFrom(after: string): void {
    this.#scan({ limit: PAGE_KEYS, after }, (page) => {
      if (page.entries.length === 0 && page.next !== undefined) this.#finishFrom(page.next);
      else this.#chooseOf(page);
    });
  }

  #chooseOf({ entries }: ScanPage): void {
    this.#done(entries[randomBelow(this.#random, entries.length)]?.key);
  }

  #scan(
    request: { limit: number; reverse?: boolean; start?: string; after?: string },
    then: (page: ScanPage) => void,
  ): void {
    const prefix = this.#prefix === "" ? undefined : this.#prefix;
    this.#database.scan({ ...request, prefix }, REQUEST_TIMEOUT_MS, (result) => {
      if ("req_type" in result) this.#done(result);
      else then(result);
    });
  }
}
