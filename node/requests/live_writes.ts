/**
 * Writes that belong together, on their way from their primary to the other replicas. Each is made a row once, for the
 * primary's own disk and for all replicas that take binary frames; as JSON, for those that do not, only if there is one.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import type { EncodedRecord } from "../storage/record.ts";

/** As those see them who send them on. */
export interface LiveWrites {
  /** As they are stored. */
  readonly rows: readonly EncodedRecord[];
  /** WireEntries, separated by commas. */
  readonly json: string;
}

/** The writes of one group. */
export class EncodedWrites implements LiveWrites {
  readonly rows: readonly EncodedRecord[];
  readonly #entries: readonly Entry[];
  #json: string | undefined;

  constructor(entries: readonly Entry[], rows: readonly EncodedRecord[]) {
    this.#entries = entries;
    this.rows = rows;
  }

  get json(): string {
    return this.#json ??= this.#entries.map((entry) => JSON.stringify(toWireEntry(entry))).join();
  }
}
