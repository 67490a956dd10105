/**
 * The snapshots of partitions that clients read for backups: opened with the first page, identified by an
 * id, and closed at the end or when nobody asks for more. Pages are read in order, each once; a client that
 * loses a page begins again.
 *
 * Invariant: every open snapshot is on the list, and every snapshot on the list is closed in the end.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { isLive } from "../../shared/base/entry.ts";
import { failureOf, isDamage } from "../../shared/base/errors.ts";
import {
  BACKUP_SNAPSHOT_IDLE_MS,
  BACKUP_SNAPSHOT_MS_MAX,
  BACKUP_SNAPSHOTS_MAX,
} from "../../shared/limits/backup.ts";
import { SCAN_BYTES_MAX, SCAN_ROWS_MAX } from "../../shared/limits/scans.ts";
import type { Message, ReplyTo } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { type Random, randomId } from "../../shared/platform/random.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import { isSystemKey } from "../../shared/cluster/system_keys.ts";
import type { PartitionSnapshot } from "../storage/partition_snapshot.ts";
import type { Replica } from "../replication/replica.ts";

/** Rows and bytes of a page. */
const PAGE = { rowsMax: SCAN_ROWS_MAX, bytesMax: SCAN_BYTES_MAX };

/** A snapshot that is being read. */
interface OpenSnapshot {
  readonly snapshot: PartitionSnapshot;
  readonly replica: Replica;
  readonly openedMs: number;
  usedMs: number;
  /** Pages that were asked for. */
  page: number;
  busy: boolean;
}

/** All snapshots of a node. */
export class BackupSnapshots {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #open = new Map<string, OpenSnapshot>();
  /** Snapshots that wait for their writes to be committed. */
  #opening = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** The number of open snapshots. */
  get size(): number {
    return this.#open.size;
  }

  /** A new snapshot of a partition, and its first page. */
  open(replica: Replica, request: Message<"backup_partition">, reply: ReplyTo): void {
    if (this.#open.size + this.#opening >= BACKUP_SNAPSHOTS_MAX) {
      reply(errorReply(
        "overloaded",
        `backup_partition: this node keeps ${BACKUP_SNAPSHOTS_MAX} snapshots for backups already`,
      ));
      return;
    }
    this.#opening++;
    const ended: ReplyTo = (refusal) => {
      this.#opening--;
      reply(refusal);
    };
    replica.snapshot(request, PAGE, ended, (snapshot) => {
      this.#opening--;
      const nowMs = this.#clock.monotonicMs();
      const open = { snapshot, replica, openedMs: nowMs, usedMs: nowMs, page: 0, busy: false };
      const id = randomId(this.#random);
      this.#open.set(id, open);
      this.#read(id, open, reply);
    });
  }

  /** A page of an open snapshot. */
  nextPage(request: Message<"backup_partition">, reply: ReplyTo): void {
    const [id = "", page] = (request.snapshot ?? "").split(".");
    const open = this.#open.get(id);
    const fits = open !== undefined && !open.busy && String(open.page) === page &&
      open.replica.partition === request.partition;
    if (fits) {
      this.#read(id, open, reply);
      return;
    }
    reply(errorReply(
      "unavailable",
      "backup_partition: that snapshot is gone, or this page of it has been read; begin again",
    ));
  }

  /** Closes snapshots that nobody reads any more. */
  tick(nowMs: number): void {
    for (const [id, { usedMs, openedMs, busy }] of this.#open) {
      const idle = !busy && nowMs - usedMs > BACKUP_SNAPSHOT_IDLE_MS;
      if (idle || nowMs - openedMs > BACKUP_SNAPSHOT_MS_MAX) this.#close(id);
    }
  }

  closeAll(): void {
    for (const id of [...this.#open.keys()]) this.#close(id);
  }

  #close(id: string): void {
    this.#open.get(id)?.snapshot.close();
    this.#open.delete(id);
  }

  #read(id: string, open: OpenSnapshot, reply: ReplyTo): void {
    const { snapshot, replica } = open;
    open.busy = true;
    open.page++;
    snapshot.next().then(
      ({ entries, ended }) => {
        open.busy = false;
        open.usedMs = this.#clock.monotonicMs();
        if (ended) this.#close(id);
        const wallMs = this.#clock.wallMs();
        const live = entries.filter((entry) => isLive(entry, wallMs) && !isSystemKey(entry.key));
        reply({
          req_type: "entries",
          entries: live.map(toWireEntry),
          ...(ended ? {} : { next: `${id}.${open.page}` }),
          seq: snapshot.asOfSeq,
          term: snapshot.term,
        });
      },
      (error) => {
        this.#close(id);
        const failure = failureOf(error);
        if (isDamage(error)) replica.onReadFailed("backup", error);
        reply(errorReply(failure.code, `backup_partition: ${failure.message}`));
      },
    );
  }
}
