/**
 * How often each thing that a run can be about has happened: each fault, each transition of a copy's
 * or a partition's state. What never happens was not tested, and fails a run that is large enough to
 * say so.
 *
 * How large that is follows from how common the thing is. Of each is known in how many runs of a hundred
 * it was seen at least. Taken at half of that, to be on the safe side, N runs without it have a
 * probability of less than exp(-N × share); where that is less than one in a million, it is no chance.
 *
 * @module
 */

/** Everything that must happen, and in how many runs of a hundred it was seen. */
export const EXPECTED = {
  "network: spike": 47,
  "network: connect timed out": 26,
  "network: connect refused": 66,
  "network: datagram cut off": 35,
  "network: datagram lost": 42,
  "network: datagram doubled": 43,
  "network: back-pressure": 0.5,
  "network: write split": 49,
  "network: stream held by a cut": 29,
  "network: reset by a host that forgot": 23,
  "fault: cut both ways": 25,
  "fault: cut one way": 20,
  "fault: cut that forgets streams": 14,
  "fault: streams reset": 33,
  "fault: slow link": 29,
  "fault: node killed": 46,
  "fault: node without power": 18,
  "fault: node paused beyond the lease": 38,
  "fault: node stopped in order": 19,
  "fault: node joins": 18,
  "fault: node leaves": 10,
  "fault: coordinator killed": 35,
  "fault: coordinator paused": 25,
  "fault: all processes at once": 15,
  "fault: wall clock jumps": 23,
  "fault: disk full": 24,
  "fault: disk slow": 25,
  "fault: read error": 0.5,
  "fault: bit flipped": 17,
  "fault: batches vanished": 10,
  "fault: old copy of a folder started": 1,
  "fault: the last copy in memory killed": 0.5,
  "disk: batch under way kept": 0.5,
  "disk: batch under way lost": 0.5,
  "disk: write refused": 17,
  "node: started": 100,
  "node: start failed": 3,
  "node: left": 10,
  "node: old folder refused": 1,
  "partition: forced": 0.5,
  "partition: failover": 83,
  "partition: without a primary": 49,
  "partition: in-sync set shrinks": 86,
  "partition: in-sync set grows": 89,
  "partition: learner added": 89,
  "partition: primary moved in order": 85,
  "copy: primary_aligning": 100,
  "copy: serving": 100,
  "copy: draining": 25,
  "copy: drained": 87,
  "copy: stopped": 5,
  "copy: idle": 100,
  "copy: asked": 100,
  "copy: aligning": 58,
  "copy: level": 100,
  "copy: damaged": 19,
  "read: by confirmation": 61,
  "transaction: done": 30,
  "transaction: refused by its check": 0.5,
  "transaction: of unknown outcome, and done": 0.5,
  "log: stream refused": 20,
  "log: data of a partition is damaged": 12,
} as const;

/** The name of a thing that is counted. */
export type Happening = keyof typeof EXPECTED;

/** All names, in the order in which they are shown. */
export const HAPPENINGS = Object.keys(EXPECTED) as Happening[];

/** exp of minus this is less than one in a million. */
const CERTAINTY = 14;

/** Counts. */
export class Coverage {
  readonly #counts = new Map<Happening, number>();
  /** In how many of the runs that were added. */
  readonly #runs = new Map<Happening, number>();
  #added = 0;

  hit(what: Happening, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  count(what: Happening): number {
    return this.#counts.get(what) ?? 0;
  }

  /** Adds what a run saw. */
  add(run: Coverage): void {
    this.#added++;
    for (const [what, times] of run.#counts) {
      this.hit(what, times);
      this.#runs.set(what, (this.#runs.get(what) ?? 0) + 1);
    }
  }

  /** What so many runs must have seen. */
  due(): Happening[] {
    return HAPPENINGS.filter((what) => this.#added * EXPECTED[what] / 200 >= CERTAINTY);
  }

  /** What is due and never happened. */
  missing(): Happening[] {
    return this.due().filter((what) => this.count(what) === 0);
  }

  /** One line for each thing: how often it happened, and in how many runs of a hundred. */
  toString(): string {
    const due = new Set(this.due());
    return HAPPENINGS.map((what) => {
      const share = 100 * (this.#runs.get(what) ?? 0) / Math.max(1, this.#added);
      const note = this.count(what) > 0 ? "" : due.has(what) ? "  NEVER" : "  (never; not due yet)";
      return `${String(this.count(what)).padStart(10)} ${
        share.toFixed(0).padStart(4)
      } %  ${what}${note}`;
    }).join("\n");
  }
}
