/**
 * Seeded bugs of a node's storage: group commit, records, recovery and the journal.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

/** Crashes at every byte, against a model. */
const JOURNAL_TEST = "tests/unit/node/storage/journal/journal_crash_test.ts";

export const STORAGE_MUTATIONS: readonly Mutation[] = [
  {
    name: "batches are not synced",
    file: "node/storage/group_commit.ts",
    edits: [[
      "this.storage.write(batch.changes, sync, done)",
      "this.storage.write(batch.changes, false, done)",
    ]],
    seedsMax: 10,
  },
  {
    name: "a record's checksum is not looked at",
    file: "node/storage/record.ts",
    edits: [[
      "if (crc32c(bytes, crc32c(rowKey), 4) !== getUint32(bytes, 0))",
      "if (bytes.length === 0)",
    ]],
    seedsMax: 60,
  },
  {
    name: "a node's cache keeps the row that was written over",
    file: "node/storage/partition_store.ts",
    edits: [[
      "else cache?.set(change.key, change.value, this.#cacheOwner);",
      "else cache?.peek(change.key, this.#cacheOwner) ??\n" +
      "      cache?.set(change.key, change.value, this.#cacheOwner);",
    ]],
    seedsMax: 20,
  },
  {
    name: "a repaired database is trusted as it is",
    file: "node/storage/recovery.ts",
    edits: [
      [
        "if (storage.lost !== undefined || suspect) await",
        "if (storage.lost !== undefined) await",
      ],
    ],
    seedsMax: 20,
    storm: "disks",
  },
  {
    name: "batches that are missing from the journal are held against nobody",
    file: "node/storage/recovery.ts",
    edits: [
      [
        "  if (storage.lost !== undefined) {\n",
        "  if (storage.lost !== undefined && suspect) {\n",
      ],
    ],
    seedsMax: 1,
    test: "tests/unit/node/storage/recovery_test.ts",
  },
  {
    name: "what the journal tells leaves out the last batch of each segment",
    file: "node/storage/journal/journal_reader.ts",
    edits: [["at < end && next <= last;", "at < end && next <= last - 1;"], [
      "if (next <= last) return true;",
      "if (next <= last - 1) return true;",
    ]],
    seedsMax: 20,
  },
  {
    name: "what the journal tells leaves out deletions",
    file: "node/storage/journal/journal_reader.ts",
    edits: [[
      "    written.keys.push(keyOfRecordKey(key));",
      "    if (value === undefined || ((value[4] ?? 0) & 1) !== 0) return;\n" +
      "    written.keys.push(keyOfRecordKey(key));",
    ]],
    seedsMax: 20,
    storm: "deletes",
  },
  {
    name: "a segment that is garbled tells a replica less than it missed",
    file: "node/storage/journal/journal_reader.ts",
    edits: [["            resolve(undefined);", "            resolve(index);"]],
    seedsMax: 1,
    test: "tests/unit/node/storage/journal/journal_reader_test.ts",
  },
  {
    name: "what was accepted is not written into the space that was taken for it",
    file: "node/storage/journal/journal_storage.ts",
    edits: [["if (!this.#reserved) throw error;", "if (this.#remembered >= 0) throw error;"]],
    seedsMax: 1,
    test: "tests/unit/node/storage/journal/journal_reserve_test.ts",
  },
  {
    name: "a node on a full disk goes on accepting writes into its reserve",
    file: "node/storage/journal/journal_storage.ts",
    edits: [["      this.#reserveFailure = failureOf(error);\n      await", "      await"]],
    seedsMax: 1,
    test: "tests/unit/node/storage/journal/journal_reserve_test.ts",
  },
  {
    name: "a frame is not synced",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "await segment.file.append(frame, sync);",
        "await segment.file.append(frame, false);",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "the checkpoint moves on before the table is flushed",
    file: "node/storage/journal/journal_storage.ts",
    edits: [
      [
        "      await this.#table.flush?.();\n    } catch",
        "    } catch",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "the table is fed with what the journal may lose",
    file: "node/storage/journal/journal_storage.ts",
    edits: [
      [
        "if (this.#journal.synced < upto) await this.#sync();",
        "",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "what is written while the table is fed counts as fed",
    file: "node/storage/journal/journal_storage.ts",
    edits: [
      [
        "this.#journal.setCheckpoint(upto, journalBytes);",
        "this.#journal.setCheckpoint(this.#remembered, journalBytes);",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a replay skips a batch",
    file: "node/storage/journal/replay.ts",
    edits: [
      [
        "    frames.push(frame);\n",
        "    if (frame.number % 7 !== 0) frames.push(frame);\n",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a replay applies a batch again, after later ones",
    file: "node/storage/journal/replay.ts",
    edits: [
      [
        "  return gap === undefined ? { frames, last }",
        "  const again = frames.at(-2);\n  if (again !== undefined && again.kind !== RESTATEMENT) frames.push(again);\n  return gap === undefined ? { frames, last }",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a torn frame is taken for a whole one",
    file: "node/storage/journal/frame.ts",
    edits: [
      [
        "  if (crc32(part(bytes, at + 12, to)) !== getUint32(bytes, at + 8)) return undefined;\n",
        "",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "what a failed write has left counts",
    file: "node/storage/journal/replay.ts",
    edits: [
      [
        "if (frame.number <= end) all.push",
        "all.push",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a gap in the journal is taken for its end",
    file: "node/storage/journal/replay.ts",
    edits: [
      [
        "if ((syncedLater[i] ?? 0) <= last) break;",
        "break;",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a hole in what was never synced is taken for damage",
    file: "node/storage/journal/replay.ts",
    edits: [
      [
        "      if ((syncedLater[i] ?? 0) <= last) break;\n",
        "",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a segment is removed before the table has all of it",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "({ number }) => number <= said",
        "() => true",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a segment is removed before a frame on disk says that the table has all of it",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "({ number }) => number <= said",
        "({ number }) => number <= Math.max(said, this.#checkpoint)",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name:
      "the rest of an old frame is taken behind the salt of the segment that is written over it",
    file: "node/storage/journal/frame.ts",
    edits: [
      [
        "  if (mark !== 0 && mark !== (salt & MARK)) return undefined;\n",
        "",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a segment is appended to after a failure",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "    this.#mustRoll = true;\n    try {",
        "    try {",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "what a failed sync may have lost is not written again",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "for (const frame of this.#unsynced) {",
        "for (const frame of this.#unsynced.slice(0, 0)) {",
      ],
    ],
    seedsMax: 1,
    test: JOURNAL_TEST,
  },
  {
    name: "a backup's disk is looked at later than its writes under way",
    file: "node/storage/partition_store.ts",
    edits: [[
      "const snapshot = this.#queue.storage.snapshot({",
      "const take = () => this.#queue.storage.snapshot({",
    ], [
      "    return new PartitionSnapshot(work,",
      "    let taken: ReturnType<typeof take> | undefined;\n" +
      "    const snapshot = {\n" +
      "      next: () => (taken ??= take()).next(),\n" +
      "      close: () => taken?.close() ?? Promise.resolve(),\n" +
      "    };\n" +
      "    return new PartitionSnapshot(work,",
    ]],
    seedsMax: 20,
    storm: "scans",
  },
];
