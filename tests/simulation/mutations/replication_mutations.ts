/**
 * Seeded bugs of replication: what primary and followers send, acknowledge, resync and forget.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

export const REPLICATION_MUTATIONS: readonly Mutation[] = [
  {
    name: "a replica acknowledges before its disk has the write",
    file: "node/replication/follower.ts",
    edits: [[
      '    if (stream.kind === "level") this.#committed(commitSeq);\n',
      '    if (stream.kind === "level") this.#committed(commitSeq);\n' +
      '    if (stream.kind === "level" && stream.durable) this.#ack(stream);\n',
    ], [
      "Math.min(this.#syncedSeq, stream.nextSeq - 1)",
      "stream.nextSeq - 1",
    ]],
    seedsMax: 10,
  },
  {
    name: "a primary commits before its own disk has the write",
    file: "node/replication/primary.ts",
    edits: [["ackedUpto(this.#durableSeq)", "ackedUpto(this.store.state.lastSeq)"]],
    seedsMax: 10,
  },
  {
    name: "a primary commits without one of its replicas",
    file: "node/replication/follower_set.ts",
    edits: [[
      "if (stream.ackedSeq < upto) upto = stream.ackedSeq;",
      "if (stream.ackedSeq < upto && stream === this.#streams[0]) upto = stream.ackedSeq;",
    ]],
    seedsMax: 10,
  },
  {
    name: "a primary reads without a lease",
    file: "node/replication/primary.ts",
    edits: [["(this.ports.hasLease() && !this.leaseBarred) ||", "true ||"]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "a replica confirms whoever asks",
    file: "node/replication/replica.ts",
    edits: [[
      "this.config.primary === node && this.config.term >= term",
      "this.config.term >= 0 * term",
    ]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "a replica answers reads from what is not committed",
    file: "node/replication/replica.ts",
    edits: [["(entry?.seq ?? 0) <= this.store.state.commitSeq", "true"]],
    seedsMax: 1,
    // In the simulation it shows only if the primary and this replica then die before a third one has the write.
    test: "tests/unit/node/replication/replication_test.ts",
  },
  {
    name: "a replica that is not in sync answers reads",
    file: "node/replication/replica.ts",
    edits: [[
      "const mayRead = this.isInSync && this.follower.level && !this.damaged;\n" +
      "    if (mayRead && this.#owner.hasLease() && this.#isFree(request.key))",
      "if (!this.damaged && this.#isFree(request.key))",
    ]],
    seedsMax: 20,
    storm: "isolated",
  },
  {
    name: "a new primary serves before its replicas are equal to it",
    file: "node/replication/primary.ts",
    edits: [['phase: Phase = "resyncing";', 'phase: Phase = "serving" as Phase;']],
    seedsMax: 60,
    storm: "late",
  },
  {
    name: "resync is skipped",
    file: "node/replication/resync.ts",
    edits: [[
      "    if (full && filled === undefined) theRest();\n",
      "    if (full || !full) return allSent();\n    if (full && filled === undefined) theRest();\n",
    ]],
    seedsMax: 10,
  },
  {
    name: "resync forgets tombstones",
    file: "node/replication/resync.ts",
    edits: [[
      "entries: chunk.entries.map(toWireEntry)",
      "entries: chunk.entries.filter((e) => (e.flags & 1) === 0).map(toWireEntry)",
    ]],
    seedsMax: 20,
  },
  {
    name: "a replica does not learn which tombstones its primary has dropped",
    file: "node/replication/follower.ts",
    edits: [["watermark: Math.max(watermark, end.watermark)", "watermark"]],
    seedsMax: 80,
    storm: "deletes",
  },
  {
    name: "a tombstone is dropped while a replica that needs it is away, without a word",
    file: "node/replication/tombstone_keeper.ts",
    edits: [
      ["config.inSync.length < replicas || config.learners.length > 0", "replicas < 0"],
      ["if (first.seq > watermark) ", "if (first.seq < watermark) "],
    ],
    seedsMax: 60,
    storm: "deletesKept",
  },
  {
    name: "the tombstone watermark is one too low",
    file: "node/maintenance/scrubber.ts",
    edits: [["Math.max(watermark, entry.seq)", "Math.max(watermark, entry.seq - 1)"]],
    seedsMax: 40,
    storm: "fewDeletes",
  },
  {
    name: "a replica that lacks dropped tombstones is sent a difference",
    file: "node/replication/follower_stream.ts",
    edits: [[
      "return commitSeq < this.#owner.store.state.watermark;",
      "return commitSeq < -this.#owner.store.state.watermark;",
    ]],
    seedsMax: 40,
    storm: "deletes",
  },
  {
    name: "W12: what is filled counts as committed, up to the last write that came",
    file: "node/replication/follower.ts",
    edits: [["Math.min(commit, stream.nextSeq - 1)", "Math.max(commit, stream.nextSeq - 1)"]],
    seedsMax: 1,
    test: "tests/unit/node/replication/follower_test.ts",
  },
  {
    name: "W12: a transfer goes on without what has changed in the part that is filled",
    file: "node/replication/resync.ts",
    edits: [[
      "else this.#sendDifference(info, full ? theRest : allSent);",
      "else if (full) theRest();\n    else this.#sendDifference(info, allSent);",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/replication/resync_test.ts",
  },
  {
    name: "W12: a transfer that goes on forgets what was deleted in the part that is filled",
    file: "node/replication/resync.ts",
    edits: [[
      "entries: chunk.entries.map(toWireEntry)",
      "entries: chunk.entries.filter((e) => full || (e.flags & 1) === 0).map(toWireEntry)",
    ], [
      "const { partition, term, stream, ports } = this.#of;",
      "const full = this.filled === undefined;\n    const { partition, term, stream, ports } = this.#of;",
    ]],
    seedsMax: 1,
    test: "tests/regression/broken_transfer_begins_anew_test.ts",
  },
  {
    name: "W12: a replica goes on filling although its data is of before a primary was forced",
    file: "node/replication/follower_stream.ts",
    edits: [[
      "info.last_term < (config.forcedTerm ?? 0)",
      "info.filled === undefined && info.last_term < (config.forcedTerm ?? 0)",
    ]],
    seedsMax: 40,
    storm: "forcedTransfers",
  },
  {
    name: "W12: a part counts as filled before what is not in the piece is gone",
    file: "node/replication/follower.ts",
    edits: [[
      "        stream.working = false;\n        this.#chunkTaken(stream, chunk);",
      "        stream.working = false;\n        this.#chunkTaken(stream, { ...chunk, upto: undefined });",
    ], [
      "    stream.working = true;\n    const sweep",
      "    this.#chunkTaken(stream, chunk);\n    stream.chunksDone--;\n" +
      "    stream.working = true;\n    const sweep",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/replication/follower_test.ts",
  },
  {
    name:
      "W12: what an earlier primary had dropped is forgotten when another one ends the transfer",
    file: "node/replication/follower.ts",
    edits: [["Math.max(this.#store.state.watermark, watermark)", "this.#store.state.watermark"]],
    seedsMax: 1,
    test: "tests/unit/node/replication/follower_test.ts",
  },
  {
    name: "W12: a replica that is level says that it is filled in part",
    file: "node/replication/follower.ts",
    edits: [[
      "      watermark: Math.max(watermark, end.watermark),\n      filled: undefined,\n",
      "      watermark: Math.max(watermark, end.watermark),\n",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/replication/follower_test.ts",
  },
  {
    name: "resync leaves unacknowledged keys as they are",
    file: "node/replication/follower.ts",
    edits: [[
      "here.seq < entry.seq || stream.unacknowledged.has(entry.key)",
      "here.seq < entry.seq",
    ], [
      "(doubted || here.seq <= chunk.seq)",
      "!doubted && here.seq <= chunk.seq",
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name:
      "a key that was deleted while a replica was away, and whose tombstone is gone, stays there",
    file: "node/replication/follower.ts",
    edits: [["(doubted || here.seq <= chunk.seq)", "doubted"]],
    seedsMax: 40,
    storm: "deletes",
  },
  {
    name: "the journal tells of writes that another primary has sent in a resync",
    file: "node/replication/resync.ts",
    edits: [["(store.hasJournal && seq >= recent.base)", "store.hasJournal"]],
    seedsMax: 1,
    test: "tests/scenarios/scenarios_test.ts",
  },
  {
    name: "what is not in the journal yet is not sent to a replica that was away",
    file: "node/replication/resync.ts",
    edits: [["onTheWay.union(keys)", "new Set(keys)"]],
    seedsMax: 1,
    test: "tests/unit/node/replication/resync_test.ts",
  },
  {
    name: "a replica is level before the resync is on its disk",
    file: "node/replication/follower.ts",
    edits: [[
      "    this.#store.whenWritten(() => {\n      level.durable = true;",
      "    queueMicrotask(() => {\n      level.durable = true;",
    ], [
      "Math.min(this.#syncedSeq, stream.nextSeq - 1)",
      "Math.max(this.#syncedSeq, stream.nextSeq - 1)",
    ]],
    seedsMax: 20,
  },
  {
    name: "a learner is reported before it is level",
    file: "node/replication/follower_set.ts",
    edits: [
      [
        '    if (stream.state !== "level") return;\n    if (stream.standing.kind',
        "    if (stream.standing.kind",
      ],
      ["if (stream.ackedSeq < store.state.commitSeq) return;", ""],
    ],
    seedsMax: 20,
  },
  {
    name: "a learner is reported before writes wait for it",
    file: "node/replication/follower_stream.ts",
    edits: [[
      'return this.standing.kind !== "learner";',
      'return this.standing.kind === "in_sync";',
    ]],
    seedsMax: 120,
  },
  {
    name: "a learner is reported before it has what was committed",
    file: "node/replication/follower_set.ts",
    edits: [[
      "    if (stream.ackedSeq < store.state.commitSeq) return;\n    standing.reportedTerm = term;",
      "    standing.reportedTerm = term;",
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name: "a replica takes the writes of one frame in the wrong order",
    file: "node/replication/follower.ts",
    edits: [[
      "this.#store.applyAll(entries, [], rows);\n    const level",
      "this.#store.applyAll(entries.toReversed());\n    const level",
    ]],
    seedsMax: 20,
  },
  {
    name: "a replica drops a write now and then",
    file: "node/replication/follower.ts",
    edits: [[
      "this.#store.applyAll(entries, [], rows);\n    const level",
      "this.#store.applyAll(entries.filter(({ seq }) => seq % 50 !== 49));\n    const level",
    ]],
    seedsMax: 10,
  },
  {
    name: "a node adopts older configurations",
    harmless:
      "configurations come from maps alone, since a peer's word is only compared with the map (rule T1); " +
      "maps come in the order of their epochs, and along them no term falls",
    file: "node/replication/replica.ts",
    edits: [["      if (config.term < before.term) return;\n", ""]],
    seedsMax: 40,
  },
  {
    name: "a full replica takes away what was written meanwhile",
    file: "node/replication/follower.ts",
    edits: [[
      "if (here !== undefined && !writtenSince(here, chunk.seq)) this.#store.remove(key);",
      "if (here !== undefined) this.#store.remove(key);",
    ]],
    seedsMax: 30,
    storm: "fills",
  },
  {
    name: "the list of unacknowledged keys is one short",
    file: "node/replication/follower.ts",
    edits: [[
      "for (const key of unacknowledged) stream.unacknowledged.add(key);\n      info.unacknowledged = unacknowledged;",
      "info.unacknowledged = unacknowledged.slice(1);\n" +
      "      for (const key of info.unacknowledged) stream.unacknowledged.add(key);",
    ]],
    seedsMax: 60,
    storm: "unacknowledged",
  },
  {
    name: "a replica that was primary in between is filled in an earlier term",
    file: "node/replication/replica.ts",
    edits: [["else if (term < this.store.state.term) {", "else if (term < 0) {"]],
    seedsMax: 1,
    test: "tests/scenarios/scenarios_test.ts",
  },
  {
    name: "any read that fails is taken for damage",
    file: "node/replication/replica.ts",
    edits: [["const isDamaged = isDamage(error);", "const isDamaged = error !== undefined;"]],
    seedsMax: 20,
    storm: "reads",
  },
  {
    name: "a primary waits for its full disk before it hands over",
    file: "node/replication/primary.ts",
    edits: [[
      "return this.#writes.size === 0 || this.ports.diskFailingMs() > 0;",
      "return this.#writes.size === 0;",
    ]],
    seedsMax: 1,
    // With its reserve, a journal on a full disk ends what was accepted: the simulation comes upon it seldom.
    test: "tests/scenarios/scenarios_test.ts",
  },
  {
    name: "a replica from before its data was given up is sent a difference",
    file: "node/replication/follower_stream.ts",
    edits: [["info.last_term < (config.forcedTerm ?? 0)", "info.last_term < 0"]],
    seedsMax: 20,
    storm: "forces",
  },
  {
    name: "who says that it is the primary is followed",
    file: "node/replication/replica.ts",
    edits: [
      [
        "      this.#claim = claim;\n    } else if (!follows)",
        "    }\n    if (this.primary !== undefined)",
      ],
    ],
    seedsMax: 10,
    storm: "strangers",
  },
  {
    name: "the list of recent tombstones leaves a watermark that is one too low",
    harmless:
      "it drops only what all replicas had TOMBSTONE_SETTLE_MS ago, so that the commit seq of each is " +
      "beyond it; or more than TOMBSTONES_MAX, which no simulation has",
    file: "node/replication/tombstone_keeper.ts",
    edits: [["setState({ watermark: first.seq })", "setState({ watermark: first.seq - 1 })"]],
    seedsMax: 40,
    storm: "deletes",
  },
  {
    name: "a row of a binary frame is stored without a look at its checksum",
    file: "node/peers/replication_frames.ts",
    edits: [["decodeRecord(key, value)", "decodeSoundRecord(key, value)"], [
      "  decodeRecord,\n",
      "  decodeSoundRecord,\n",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/peers/replication_frames_test.ts",
  },
  {
    name: "a packed frame may become as long as it likes",
    file: "node/peers/packed_line.ts",
    edits: [["{ maxOutputLength: length }", "{ maxOutputLength: 2 ** 31 }"]],
    seedsMax: 1,
    test: "tests/unit/node/peers/packed_line_test.ts",
  },
  {
    name: "writes go in binary frames to a peer that has not said that it takes them",
    file: "node/peers/peer_link.ts",
    edits: [["agreedFrames(message.frames) !== undefined", "true"]],
    seedsMax: 1,
    test: "tests/unit/node/peers/peer_link_test.ts",
  },
  {
    name: "a binary frame may be as long as its head says",
    file: "shared/wire/framing.ts",
    edits: [["if (wanted > this.#frameBytesMax) {", "if (wanted === 0) {"], [
      "at + whole <= bytes.length && whole <= this.#frameBytesMax",
      "at + whole <= bytes.length",
    ]],
    seedsMax: 1,
    test: "tests/unit/shared/wire/framing_test.ts",
  },
  {
    name: "a binary frame leaves before the lines that were sent before it",
    file: "shared/wire/connection.ts",
    edits: [[
      '    if (this.#out !== "") this.#addPiece(this.#encode(this.#out));\n    this.#out = "";\n',
      "",
    ]],
    seedsMax: 1,
    test: "tests/unit/shared/wire/connection_test.ts",
  },
];
