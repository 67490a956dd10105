/**
 * A simulated disk: it outlives the processes that use it. It has the files of a journal (`sim_files.ts`), the table
 * behind it (`sim_table.ts`), and JSON documents that are replaced as a whole. What it does wrong, it does only when
 * told to (`DiskFaults`).
 *
 * Invariants: a process that is dead changes nothing any more and hears nothing. `rows` are what a storage that is opened
 * on this disk now would show: the journal over the table.
 *
 * @module
 */
import type { DocumentStore } from "../../../shared/platform/document_store.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { randomFraction } from "../../../shared/platform/random.ts";
import { forEachChange, RESTATEMENT, valueOf } from "../../../node/storage/journal/frame.ts";
import type { JournalFiles } from "../../../node/storage/journal/journal_files.ts";
import {
  beginsWell,
  checkpointOf,
  firstNeeded,
  planReplay,
  segmentsAmong,
} from "../../../node/storage/journal/replay.ts";
import { decodeFed, FED_KEY, isControlKey } from "../../../node/storage/state_record.ts";
import { RowsSnapshot } from "../../../node/storage/memory/rows_snapshot.ts";
import type { Storage, StorageRange, StorageRow } from "../../../node/storage/storage.ts";
import type { Coverage } from "../coverage.ts";
import { between, type Scheduler, type SimProcess } from "./scheduler.ts";
import { type DiskFaults, type DiskPorts, readMs, SimFiles, syncMs } from "./sim_files.ts";
import { SimTable } from "./sim_table.ts";
import { SortedRows, textOf } from "./sorted_rows.ts";

export type { DiskFaults } from "./sim_files.ts";

/** What a frame has changed, and what was there before. */
interface Written {
  readonly keys: string[];
  readonly before: (Uint8Array | undefined)[];
}

/** A row whose bits were flipped, or which vanished. */
export interface Damage {
  readonly key: string;
  /** What is there instead; undefined for nothing. */
  readonly value: Uint8Array | undefined;
  readonly what: "flipped" | "vanished" | "rotten";
}

/** A disk. */
export class SimDisk {
  readonly name: string;
  readonly faults: DiskFaults = {
    full: false,
    slowMs: 0,
    readErrors: 0,
    filesMissing: false,
  };
  /** Damage that may still be there. */
  damage: Damage[] = [];
  /** Partitions in which a fault has ever flipped bits here. */
  readonly everFlipped = new Set<number>();
  /** Synced batches have vanished: then nothing that the disk tells is certain. */
  everVanished = false;
  /** Some of it has been damaged, or was unreadable for long enough to count as damaged. */
  mayBeDamaged = false;
  readonly rows = new SortedRows();
  readonly documents = new Map<string, string>();
  readonly #ports: DiskPorts;
  readonly #files: SimFiles;
  readonly #table: SimTable;
  #isMemory = false;
  /** Took effect and are not synced. */
  #unsynced: Written[] = [];

  constructor(name: string, scheduler: Scheduler, coverage: Coverage) {
    this.name = name;
    this.#ports = { scheduler, coverage, random: scheduler.random, faults: this.faults };
    this.#table = new SimTable(this.#ports);
    this.#files = new SimFiles(this.#ports, {
      onFrame: (frame) => this.#apply(frame, { from: 0, to: frame.length }),
      onSynced: () => this.#unsynced = [],
    });
  }

  /** The journal's files as a process sees them. */
  files(process: SimProcess): JournalFiles {
    return this.#files.open(process);
  }

  /** The table as a process sees it. */
  table(process: SimProcess): Storage {
    return this.#table.open(process);
  }

  /** Rows in a process's memory, which are wiped when it has ended. */
  memory(process: SimProcess): Storage {
    const { scheduler, random } = this.#ports;
    const put = (key: Uint8Array, value: Uint8Array | undefined) => {
      if (!process.alive) return;
      if (value === undefined) this.rows.delete(textOf(key));
      else this.rows.set(textOf(key), value.slice());
    };
    const range = (range: StorageRange): Promise<StorageRow[]> => {
      const rows = this.rows.range(range);
      return new Promise((resolve) => {
        if (process.alive) scheduler.after(readMs(this.#ports), process, () => resolve(rows));
      });
    };
    this.#isMemory = true;
    return {
      volatile: true,
      put,
      get: (key) => this.rows.get(textOf(key)),
      write: (changes, _sync, done) => {
        for (const { key, value } of changes) put(key, value);
        if (process.alive) {
          scheduler.after(between(random, 0.02, 0.3), process, () => done(undefined));
        }
      },
      range,
      snapshot: (range) =>
        new RowsSnapshot(
          this.rows.range({ ...range, rowsMax: Infinity, bytesMax: Infinity }),
          range,
        ),
      close: () => Promise.resolve(),
    };
  }

  document(process: SimProcess, name: string): DocumentStore {
    return {
      read: () => {
        const text = this.documents.get(name);
        return Promise.resolve(text === undefined ? undefined : JSON.parse(text));
      },
      write: (document) => {
        const text = JSON.stringify(document);
        return new Promise((resolve, reject) => {
          if (!process.alive) return;
          const begun = { text };
          this.#documentsUnderWay.set(name, begun);
          this.#ports.scheduler.after(syncMs(this.#ports), undefined, () => {
            if (!process.alive || this.#documentsUnderWay.get(name) !== begun) return;
            this.#documentsUnderWay.delete(name);
            const { full } = this.faults;
            if (!full) this.documents.set(name, text);
            this.#ports.scheduler.after(0, process, () => {
              if (!full) resolve();
              else {
                this.#ports.coverage.hit("disk: write refused");
                reject(new KvError("storage_failed", `cannot write ${name}: no space is left`));
              }
            });
          });
        });
      },
    };
  }

  readonly #documentsUnderWay = new Map<string, { readonly text: string }>();

  /** What a copy of it that somebody makes now would hold. */
  copy(name: string): SimDisk {
    const copy = new SimDisk(name, this.#ports.scheduler, this.#ports.coverage);
    for (const [document, text] of this.documents) copy.documents.set(document, text);
    this.#files.copyTo(copy.#files);
    this.#table.copyTo(copy.#table);
    copy.#rebuild();
    for (const partition of this.everFlipped) copy.everFlipped.add(partition);
    copy.everVanished = this.everVanished;
    return copy;
  }

  /** An older copy of it is put in its place, while no process uses it. */
  putBack(copy: SimDisk): void {
    const newer = [...this.rows.entries()];
    this.wipe();
    for (const [document, text] of copy.documents) this.documents.set(document, text);
    copy.#files.copyTo(this.#files);
    copy.#table.copyTo(this.#table);
    this.#rebuild();
    this.#vanished(newer);
  }

  /** Nothing is left. */
  wipe(): void {
    this.rows.clear();
    this.documents.clear();
    this.#documentsUnderWay.clear();
    this.damage = [];
    this.#unsynced = [];
    this.#files.clear();
    this.#table.clear();
  }

  /** The process that used the disk is dead. @param power false: what the system held in memory is gone too */
  crash(power: boolean): void {
    for (const [name, { text }] of this.#documentsUnderWay) {
      // A rename has happened or has not.
      if (randomFraction(this.#ports.random) < 0.5) this.documents.set(name, text);
    }
    this.#documentsUnderWay.clear();
    this.#files.crash(power);
    this.#table.crash(power);
    if (!this.#isMemory) this.#rebuild();
  }

  /** The row as it would be after a power cut at this moment. */
  durable(key: string): Uint8Array | undefined {
    for (const { keys, before } of this.#unsynced) {
      const at = keys.indexOf(key);
      if (at >= 0) return before[at];
    }
    return this.rows.get(key);
  }

  /** Flips one bit of a row's value in the table, if it is there. */
  flipBit(key: string): void {
    if (this.#isMemory) return;
    const flipped = this.#table.flipBit(key);
    if (flipped === undefined) return;
    this.mayBeDamaged = true;
    this.damage.push({ key, value: flipped, what: "flipped" });
    this.everFlipped.add(key.charCodeAt(0) << 8 | key.charCodeAt(1));
  }

  /** The keys of a partition's rows in the table, in order. @param prefix the partition */
  keysInTable(prefix: string): readonly string[] {
    return this.#table.rows.keys(prefix);
  }

  /** A block of the table, with some rows that lie together, cannot be read any more. */
  rotBlock(keys: readonly string[]): void {
    // A repair lets go of it, and what is there then is certain only when it has been read through.
    this.everVanished = true;
    this.mayBeDamaged = true;
    this.#table.rotBlock(keys);
    for (const key of keys) this.damage.push({ key, value: undefined, what: "rotten" });
  }

  /** What can be read is kept, the rest is gone; `LevelStorage.repair`. */
  repair(): void {
    this.#table.repair();
    this.#ports.coverage.hit("disk: repaired");
    this.#rebuild();
    this.damage = this.damage.flatMap((damage) => {
      if (damage.what !== "rotten") return [damage];
      const { key } = damage;
      return this.rows.get(key) === undefined ? [{ key, value: undefined, what: "vanished" }] : [];
    });
  }

  /**
   * A bit of the journal flips, so that a batch is not there any more. Only while no process uses the disk.
   *
   * @returns how many rows are not what they were; undefined if there is nothing that could be damaged
   */
  damageJournal(): number | undefined {
    const before = [...this.rows.entries()];
    if (!this.#files.flipBit()) return undefined;
    this.#rebuild();
    return this.#vanished(before);
  }

  /** Damage that nobody has mended: the damaged rows are there as they were. */
  outstandingDamage(): Damage[] {
    this.damage = this.damage.filter(({ key, value, what }) =>
      what === "rotten" ||
      (what === "flipped" ? this.#table.rows.get(key) : this.rows.get(key)) === value
    );
    return this.damage;
  }

  /** @param before the rows as they were before batches vanished */
  #vanished(before: readonly [string, Uint8Array][]): number {
    this.everVanished = true;
    this.mayBeDamaged = true;
    let count = 0;
    for (const [key, was] of before) {
      const value = this.rows.get(key);
      if (value !== undefined && textOf(value) === textOf(was)) continue;
      this.damage.push({ key, value, what: "vanished" });
      count++;
    }
    return count;
  }

  /** What a storage would find. */
  #rebuild(): void {
    this.rows.clear();
    for (const [key, value] of this.#table.rows.entries()) this.rows.set(key, value);
    const bytes = new Map(this.#files.entries());
    const segments = segmentsAmong(bytes.keys()).map((name) => ({
      ...name,
      bytes: bytes.get(name.name) ?? new Uint8Array(),
    }));
    const fed = this.#table.rows.get(textOf(FED_KEY));
    const number = fed === undefined ? 0 : decodeFed(fed).number;
    const tableHas = Math.min(checkpointOf(segments), number);
    let first = firstNeeded(segments, tableHas);
    while (first > 0 && !beginsWell(segments[first])) first--;
    const plan = planReplay(segments.slice(first), tableHas, 0);
    for (const frame of plan.frames) {
      if (frame.kind === RESTATEMENT) this.#forgetControls();
      this.#apply(frame.bytes, frame);
    }
    this.#unsynced = [];
  }

  #forgetControls(): void {
    const controls = [...this.rows.entries()].filter(([key]) =>
      isControlKey(Uint8Array.from(key, (char) => char.charCodeAt(0)))
    );
    for (const [key] of controls) this.rows.delete(key);
  }

  #apply(bytes: Uint8Array, frame: { readonly from: number; readonly to: number }): void {
    const written: Written = { keys: [], before: [] };
    forEachChange(bytes, frame, (key, stored) => {
      const text = textOf(key);
      const value = valueOf(stored)?.slice();
      written.keys.push(text);
      written.before.push(this.rows.get(text));
      if (value === undefined) this.rows.delete(text);
      else this.rows.set(text, value);
    });
    this.#unsynced.push(written);
  }
}
