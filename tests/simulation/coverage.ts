/**
 * How often each thing that a run can be about has happened: each fault, each transition of a copy's
 * or a partition's state. One that never happened in a large run was not tested, and fails it.
 *
 * @module
 */

/** Everything that must happen in a large run. */
export const EXPECTED = [
  "network: spike",
  "network: connect timed out",
  "network: connect refused",
  "network: datagram cut off",
  "network: datagram lost",
  "network: datagram doubled",
  "network: back-pressure",
  "network: write split",
  "network: stream held by a cut",
  "network: reset by a host that forgot",
  "fault: cut both ways",
  "fault: cut one way",
  "fault: cut that forgets streams",
  "fault: streams reset",
  "fault: slow link",
  "fault: node killed",
  "fault: node without power",
  "fault: node paused beyond the lease",
  "fault: node stopped in order",
  "fault: node joins",
  "fault: node leaves",
  "fault: coordinator killed",
  "fault: coordinator paused",
  "fault: all processes at once",
  "fault: wall clock jumps",
  "fault: disk full",
  "fault: disk slow",
  "fault: read error",
  "fault: bit flipped",
  "fault: batches vanished",
  "disk: batch under way kept",
  "disk: batch under way lost",
  "disk: write refused",
  "node: started",
  "node: start failed",
  "node: left",
  "partition: failover",
  "partition: without a primary",
  "partition: in-sync set shrinks",
  "partition: in-sync set grows",
  "partition: learner added",
  "partition: primary moved in order",
  "copy: primary_aligning",
  "copy: serving",
  "copy: draining",
  "copy: drained",
  "copy: stopped",
  "copy: idle",
  "copy: asked",
  "copy: aligning",
  "copy: level",
  "copy: damaged",
  "read: by confirmation",
  "transaction: done",
  "transaction: refused by its check",
  "transaction: of unknown outcome, and done",
  "log: stream refused",
  "log: data of a partition is damaged",
] as const;

/** The name of a thing that is counted. */
export type Happening = (typeof EXPECTED)[number];

/** Counts. */
export class Coverage {
  readonly #counts = new Map<string, number>();

  hit(what: Happening, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  count(what: Happening): number {
    return this.#counts.get(what) ?? 0;
  }

  /** Adds what another run saw. */
  add(other: Coverage): void {
    for (const [what, times] of other.#counts) {
      this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
    }
  }

  /** What never happened. */
  missing(): Happening[] {
    return EXPECTED.filter((what) => this.count(what) === 0);
  }

  /** One line for each thing. */
  toString(): string {
    return EXPECTED.map((what) => `${String(this.count(what)).padStart(10)}  ${what}`).join("\n");
  }
}
