/**
 * What the disks of coordinators have of the cluster's document: the one on the disk of the only coordinator, or what a
 * majority's disks have accepted, which is chosen whether or not anybody knows it yet. It is looked at after each event.
 *
 * @module
 */
import { type CoordinatorSet, isQuorum } from "../../../coordinator/register/coordinator_set.ts";
import { compareStamps, type Stamp } from "../../../coordinator/register/generation.ts";
import { parseRecord } from "../../../coordinator/register/register_record.ts";
import {
  type ClusterDocument,
  parseClusterDocument,
} from "../../../coordinator/state/cluster_document.ts";
import type { CoordinatorRecord } from "../../../coordinator/state/coordinator_record.ts";
import type { Coverage } from "../coverage.ts";
import type { SimDisk } from "./sim_disk.ts";

/** Its name on the disk. */
export const RECORD_DOCUMENT = "register.json";
/** Of lost disks: what they had is of no use any more when a newer document is chosen. */
const LOST_DISKS_KEPT = 4;

/** What a coordinator's disk has. */
export function recordOn(disk: SimDisk): CoordinatorRecord | undefined {
  const text = disk.documents.get(RECORD_DOCUMENT);
  return text === undefined ? undefined : parseRecord(JSON.parse(text), parseClusterDocument);
}

/** The documents of one cluster. */
export class ChosenDocuments {
  /** Called when a document is chosen, from inside of whatever looked: who acts on its set does so later. */
  onSet: (set: CoordinatorSet) => void = () => {};
  readonly #areSeveral: boolean;
  readonly #coverage: Coverage;
  readonly #disks: () => readonly SimDisk[];
  /** What the disks had when they were read last. */
  #texts: (string | undefined)[] = [];
  #lost: readonly CoordinatorRecord[] = [];
  #stamp: Stamp | undefined;
  #document: ClusterDocument | undefined;
  #set: CoordinatorSet | undefined;

  /** @param disks those of all hosts of coordinators, that of the first one first */
  constructor(areSeveral: boolean, coverage: Coverage, disks: () => readonly SimDisk[]) {
    this.#areSeveral = areSeveral;
    this.#coverage = coverage;
    this.#disks = disks;
  }

  /** The newest document; undefined before the first. */
  get newest(): ClusterDocument | undefined {
    const disks = this.#areSeveral ? this.#disks() : this.#disks().slice(0, 1);
    // The texts themselves are compared, not copies of them.
    const seen = this.#texts;
    const isSame = (disk: SimDisk, i: number) => disk.documents.get(RECORD_DOCUMENT) === seen[i];
    if (disks.length === seen.length && disks.every(isSame)) return this.#document;
    this.#texts = disks.map(({ documents }) => documents.get(RECORD_DOCUMENT));
    const records = disks.flatMap((disk) => recordOn(disk) ?? []);
    if (this.#areSeveral) this.#choose(records);
    else this.#document = records[0]?.accepted?.document.body;
    return this.#document;
  }

  /** The set of the newest document, if there are several coordinators. */
  get set(): CoordinatorSet | undefined {
    return this.newest && this.#set;
  }

  /** A disk is about to be lost. */
  noteLost(disk: SimDisk): void {
    const record = recordOn(disk);
    if (record !== undefined) this.#lost = [...this.#lost, record].slice(-LOST_DISKS_KEPT);
  }

  /** What is accepted on the disks of a majority of its own set is chosen; it stays so when they go on. */
  #choose(records: readonly CoordinatorRecord[]): void {
    // What a disk had accepted may count, though the disk is lost before the last of the majority has it.
    const ever = [...records, ...this.#lost];
    for (const { accepted } of records) {
      if (accepted === undefined || compareStamps(accepted.stamp, this.#stamp) <= 0) continue;
      const { stamp, document: { set, body } } = accepted;
      const folders = ever.flatMap(({ folder, accepted }) =>
        accepted !== undefined && compareStamps(accepted.stamp, stamp) === 0 ? [folder] : []
      );
      if (!isQuorum(set, new Set(folders))) continue;
      this.#stamp = stamp;
      this.#document = body;
      this.#noteSet(set);
    }
  }

  #noteSet(set: CoordinatorSet): void {
    const before = new Set(this.#set?.voters.map(({ folder }) => folder));
    const isNew = set.voters.filter(({ folder }) => !before.has(folder)).length;
    const isGone = before.size - (set.voters.length - isNew);
    if (before.size > 0 && isNew > 0) this.#coverage.hit("fault: coordinator added", isNew);
    if (isGone > 0) this.#coverage.hit("fault: coordinator removed", isGone);
    this.#set = set;
    this.onSet(set);
  }
}
