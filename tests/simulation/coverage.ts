/**
 * How often each thing that a run can be about has happened: each fault, each transition of a replica's
 * or a partition's state. What never happens was not tested, and fails a run that is large enough to
 * say so.
 *
 * How large that is follows from how common the thing is. Of each is known in how many runs of a hundred
 * it was seen at least. Taken at half of that, to be on the safe side, N runs without it have a
 * probability of less than exp(-N × share); if that is less than one in a million, it is no chance.
 *
 * @module
 */

/** Everything that must happen, and in how many runs of a hundred it was seen. */
export const EXPECTED = {
  "network: spike": 43,
  "network: connect timed out": 26,
  "network: connect refused": 69,
  "network: certificate refused": 5,
  "adversary: datagram repeated or changed": 5,
  "adversary: heartbeat forged": 5,
  "adversary: acknowledgement forged": 5,
  "adversary: claims a later map": 5,
  "fault: users changed": 5,
  "fault: certificate ends": 5,
  "adversary: comes as a stranger": 5,
  "adversary: comes as a user": 5,
  "adversary: comes as a member": 5,
  "adversary: comes as a revoked": 5,
  "network: datagram cut off": 37,
  "network: datagram lost": 44,
  "network: datagram doubled": 43,
  "network: back-pressure": 0.5,
  "network: write split": 49,
  "network: stream held by a cut": 33,
  "network: reset by a host that forgot": 21,
  "fault: cut both ways": 30,
  "fault: cut one way": 20,
  "fault: cut that forgets streams": 14,
  "fault: streams reset": 35,
  "fault: slow link": 28,
  "fault: node killed": 47,
  "fault: node without power": 17,
  "fault: node paused beyond the lease": 33,
  "fault: process slow": 10,
  "fault: node stopped in order": 20,
  "fault: node joins": 16,
  "fault: node leaves": 10,
  "fault: coordinator killed": 37,
  "fault: coordinator paused": 25,
  "fault: coordinator's machine suspended": 10,
  "fault: coordinator stopped in order": 5,
  "fault: coordinator added": 0,
  "fault: coordinator removed": 0,
  "fault: coordinator killed while a change is levelling": 0,
  "fault: coordinator killed while a change is joint": 0,
  "fault: coordinator killed while a change is done": 0,
  "fault: coordinator's disk emptied": 0,
  "fault: coordinator's old folder put back": 0,
  "fault: node forgotten that comes back": 1,
  "fault: node replaced at its address": 1,
  "fault: learner damaged": 1,
  "fault: lease shortened": 6,
  "fault: all processes at once": 14,
  "fault: wall clock jumps": 24,
  "fault: disk full": 27,
  "fault: disk slow": 31,
  "fault: read error": 0.5,
  "fault: files missing": 10,
  "disk: files found missing": 2,
  "fault: bit flipped": 21,
  "fault: journal damaged": 10,
  "fault: block rotten": 4,
  "fault: old copy of a folder started": 2,
  "fault: old document put back": 0,
  "fault: old copy of a folder put back": 0,
  "coordinator: old document refused": 0,
  "coordinator: old document accepted": 0,
  "fault: the last replica in memory killed": 0.5,
  "fault: TCP alone cut": 12,
  "fault: UDP alone cut": 10,
  "fault: session half open": 10,
  "fault: pair of nodes cut": 10,
  "fault: machine suspended beyond the lease": 10,
  "fault: a stranger claims partitions": 10,
  "fault: node isolated from all servers": 10,
  "fault: node cut off from the coordinator alone": 10,
  "disk: journal torn": 0.5,
  "disk: unsynced kept": 0.5,
  "disk: a file is written over": 60,
  "disk: an earlier file shows behind a torn one": 0.5,
  "disk: zeros show behind a torn end": 0.5,
  "disk: write refused": 20,
  "disk: the reserve is written to": 0.5,
  "disk: compaction failed": 0.5,
  "disk: repaired": 1,
  "node: started": 100,
  "node: start failed": 7,
  "node: starts again for a repair": 1,
  "node: left": 10,
  "node: old folder refused": 2,
  "partition: forced": 0.5,
  "partition: forced while a replica is filled in part": 0,
  "partition: failover": 81,
  "partition: without a primary": 48,
  "partition: in-sync set shrinks": 87,
  "partition: in-sync set grows": 90,
  "partition: learner added": 90,
  "partition: primary moved in order": 86,
  "replica: primary_resyncing": 100,
  "replica: serving": 100,
  "replica: draining": 26,
  "replica: drained": 87,
  "replica: stopped": 4,
  "replica: idle": 100,
  "replica: asked": 100,
  "replica: resyncing": 58,
  "replica: a transfer goes on": 1,
  "replica: level": 100,
  "replica: damaged": 22,
  "replica: tombstones dropped": 25,
  "read: by confirmation": 62,
  "transaction: done": 20,
  "transaction: refused by its check": 1,
  "transaction: of unknown outcome, and done": 1,
  "lists: transaction done": 20,
  "client: increment": 60,
  "client: key moved to another database": 1,
  "client: database made": 15,
  "client: database made again": 15,
  "client: database dropped": 8,
  "client: database written": 15,
  "client: database read": 15,
  "client: write if the version fits": 60,
  "client: value that expires": 60,
  "client: weak read": 60,
  "client: short session": 60,
  "client: without a name": 60,
  "client: many reads at once": 60,
  "client: page of a scan": 50,
  "client: count": 30,
  "client: backup of a partition": 50,
  "watcher: event": 90,
  "watcher: reset": 0,
  "watcher: goes on from a token": 80,
  "node: expired entries deleted": 40,
  "client session: evicted": 40,
  "client session: first attempt refused": 20,
  "client session: repeat unknown": 0,
  "log: stream refused": 20,
  "log: data of a partition is damaged": 14,
  "log: replicas differ": 1,
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

  /** What this many runs must have seen. */
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
