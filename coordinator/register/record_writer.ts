/**
 * What a coordinator's disk has of its record, and what waits for it. The record is written as a whole, one write at a
 * time; whatever changes meanwhile goes with the next one. A state machine: it does no I/O.
 *
 * Invariant: what was given to {@linkcode RecordWriter.afterWrite} is done when everything that was known at that moment
 * is on disk, never before (rule G3).
 *
 * @module
 */
import { COORDINATOR_DISK_RETRY_MS } from "../../shared/limits/membership.ts";
import type { Stamp } from "./generation.ts";
import type { RegisterRecord } from "./register_record.ts";

/** One for a coordinator. */
export class RecordWriter<D> {
  #dirty = true;
  #writing: { readonly record: RegisterRecord<D>; readonly waiting: (() => void)[] } | undefined;
  /** What waits for the next record. */
  #waiting: (() => void)[] = [];
  #isStarted = false;
  #retryAtMs = -Infinity;
  /** Records that are on disk, and those that were begun: since the folder was made. */
  #writes: number;
  #writesBegun: number;
  #at: Stamp | undefined;

  constructor({ writes, accepted }: Pick<RegisterRecord<D>, "writes" | "accepted">) {
    this.#writes = this.#writesBegun = writes;
    this.#at = accepted?.stamp;
  }

  /** Whether a record of this start is on disk. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** How many records were on disk since the folder was made. */
  get writes(): number {
    return this.#writes;
  }

  /** The document on disk. */
  get at(): Stamp | undefined {
    return this.#at;
  }

  /** What is known is not what the disk has. */
  changed(): void {
    this.#dirty = true;
  }

  /** Does something once everything that is known now is on disk; at once, if it is. */
  afterWrite(then: () => void): void {
    if (this.#dirty) this.#waiting.push(then);
    else if (this.#writing !== undefined) this.#writing.waiting.push(then);
    else then();
  }

  /**
   * Begins a write, if there is something to write and nothing stands against it.
   *
   * @param make gives the record, by its number
   */
  begin(
    nowMs: number,
    make: (writes: number) => RegisterRecord<D>,
  ): RegisterRecord<D> | undefined {
    if (!this.#dirty || this.#writing !== undefined || nowMs < this.#retryAtMs) return undefined;
    this.#dirty = false;
    const record = make(++this.#writesBegun);
    this.#writing = { record, waiting: this.#waiting };
    this.#waiting = [];
    return record;
  }

  /** The write that is under way has ended well. @param folder this coordinator's by now */
  written(folder: string): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    this.#writing = undefined;
    const { record, waiting } = writing;
    this.#writes = record.writes;
    if (record.folder === folder) this.#at = record.accepted?.stamp;
    this.#isStarted = true;
    for (const then of waiting) then();
  }

  /** The write that is under way has failed: it is tried again. @returns whether there was one */
  failed(nowMs: number): boolean {
    const writing = this.#writing;
    if (writing === undefined) return false;
    this.#writing = undefined;
    this.#dirty = true;
    this.#waiting.unshift(...writing.waiting);
    this.#retryAtMs = nowMs + COORDINATOR_DISK_RETRY_MS;
    return true;
  }

  /** The folder is another one from now on, with nothing in it: nothing that waited is done. */
  beginAnew(): void {
    this.#waiting = [];
    this.#writing?.waiting.splice(0);
    this.#at = undefined;
    this.#dirty = true;
  }
}
