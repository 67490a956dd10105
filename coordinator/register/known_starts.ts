/**
 * How far each coordinator's folder is known to have come: the process that runs on it, and how many records it has
 * written. Each message says so of its sender, and the active one passes on what it knows of all.
 *
 * A folder that comes with fewer writes than it has spoken of is an old copy that was put back. What it has promised
 * since is forgotten, so it must not take part. The same is true of a second process with the same number of starts,
 * which runs on a second copy. Rule G11 of docs/coordinators.md.
 *
 * @module
 */
/** A start of a folder. */
export interface KnownStart {
  readonly folder: string;
  readonly start: number;
  /** The random id of the process. */
  readonly run: string;
  /** Records that were on its disk by then, since the folder was made. */
  readonly writes: number;
}

/** What is thought of a sender. */
export type StartVerdict =
  | { readonly type: "known" }
  /** It is to be remembered, on disk, before it is answered. */
  | { readonly type: "news" }
  /** Another start of the folder is later, or has the same number. */
  | { readonly type: "old"; readonly known: KnownStart };

/** Remembers starts. */
export class KnownStarts {
  #starts: Map<string, KnownStart>;

  constructor(starts: readonly KnownStart[]) {
    this.#starts = new Map(starts.map((known) => [known.folder, known]));
  }

  judge({ folder, start, run, writes }: KnownStart): StartVerdict {
    const known = this.#starts.get(folder);
    if (known === undefined) return { type: "news" };
    if (run === known.run) return { type: "known" };
    if (start > known.start && writes > known.writes) return { type: "news" };
    return { type: "old", known };
  }

  /** It is not an old one. Of one process, the highest number of writes is kept. */
  note({ folder, start, run, writes }: KnownStart): void {
    const known = this.#starts.get(folder);
    const isSameRun = known !== undefined && known.run === run;
    const most = isSameRun ? Math.max(known.writes, writes) : writes;
    this.#starts.set(folder, { folder, start, run, writes: most });
  }

  /** Forgets folders that are in no set any more. */
  keep(isMember: (folder: string) => boolean): void {
    for (const folder of this.#starts.keys()) if (!isMember(folder)) this.#starts.delete(folder);
  }

  /** As for the disk, in the order in which they became known. */
  list(): KnownStart[] {
    return [...this.#starts.values()];
  }
}
