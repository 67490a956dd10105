/**
 * Seeded bugs: mistakes that could have been made in the production code, each as a change of its
 * text. They check the checkers: a run with one of them in place must fail within this many seeds, or the test
 * that is named must fail. No
 * production code knows of them; `mutation_run.ts` puts them in place for one child process.
 *
 * @module
 */
import type { STORMS } from "../faults/storms.ts";

/** One mistake. */
export interface Mutation {
  readonly name: string;
  /** The file that is changed, from the root of the repository. */
  readonly file: string;
  /** Each text must be in the file exactly once. */
  readonly edits: readonly (readonly [text: string, replacement: string])[];
  /** It is found within this many seeds, from 1 on. */
  readonly seedsMax: number;
  /**
   * Why it can do no harm alone: a second rule keeps it from that. Then no seed may find it, and the run that
   * tries this many is the evidence. What cannot harm today may do so when the second rule goes.
   */
  readonly harmless?: string;
  /** A kind of storm that gives it more occasions to show; default: all kinds, as in `deno task sim`. */
  readonly storm?: keyof typeof STORMS | "register";
  /**
   * The test file that finds it, from the root of the repository; then there is one seed. For what the simulation
   * has none of, or has in its own version: TLS, passwords, front ends.
   */
  readonly test?: string;
}

/** Crashes at every byte, against a model. */
const JOURNAL_TEST = "tests/unit/node/storage/journal/journal_crash_test.ts";

/** All of them. */
export const MUTATIONS: readonly Mutation[] = [
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
    name: "batches are not synced",
    file: "node/storage/group_commit.ts",
    edits: [[
      "this.storage.write(batch.changes, sync, done)",
      "this.storage.write(batch.changes, false, done)",
    ]],
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
    name: "a lease never runs out",
    file: "node/membership/lease.ts",
    edits: [[
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs &&\n" +
      "      now.wallMs < this.#sent.wallMs + leaseMs",
      "this.#sent.monotonicMs > -leaseMs",
    ]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "a lease is longer than the coordinator thinks",
    file: "node/membership/lease.ts",
    edits: [["const leaseMs = this.#leaseMs();", "const leaseMs = 3 * this.#leaseMs();"]],
    seedsMax: 40,
  },
  {
    name: "an old map is good enough for a lease",
    file: "node/membership/lease.ts",
    edits: [["mapEpoch >= this.#epochNeeded &&", "mapEpoch >= 0 &&"]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "one confirmation is enough for a read",
    file: "node/requests/read_confirmations.ts",
    edits: [["else if (needed.size === 0) this.#end", "else this.#end"]],
    seedsMax: 60,
    storm: "halves",
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
    name: "reads do not wait for a write in flight",
    file: "node/requests/request_executor.ts",
    edits: [[
      "this.#writes.whenCommitted(newest, request, reply, () => {\n" +
      "        reply(operation.read(request, live, wallMs));\n" +
      "      });",
      "reply(operation.read(request, live, wallMs));",
    ]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "refusals do not wait for a write in flight",
    file: "node/requests/request_executor.ts",
    edits: [[
      "this.#writes.whenCommitted(newest, left, fail, () => reply(answer))",
      "reply(answer)",
    ]],
    seedsMax: 60,
    storm: "splits",
  },
  {
    name: "a replica answers reads from what is not committed",
    file: "node/replication/replica.ts",
    edits: [["(entry?.seq ?? 0) <= this.store.state.commitSeq", "true"]],
    seedsMax: 120,
    storm: "losses",
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
      "    if (this.full) {\n",
      "    if (this.full || !this.full) {\n      this.#to.onAllSent(this);\n      return;\n    }\n" +
      "    if (this.full) {\n",
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
    edits: [["info.commit < watermark ||", "false ||"], [
      "followerCommitSeq < watermark",
      "followerCommitSeq < -watermark",
    ]],
    seedsMax: 40,
    storm: "deletes",
  },
  {
    name: "resync leaves unacknowledged keys as they are",
    file: "node/replication/follower.ts",
    edits: [[
      "here.seq < entry.seq || stream.unacknowledged.has(entry.key)",
      "here.seq < entry.seq",
    ], [
      "if (stream.unacknowledged.delete(key)) this.#store.remove(key);",
      "stream.unacknowledged.delete(key);",
    ]],
    seedsMax: 60,
    storm: "moves",
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
      "this.#store.applyAll(entries);\n    const level",
      "this.#store.applyAll(entries.toReversed());\n    const level",
    ]],
    seedsMax: 20,
  },
  {
    name: "a replica drops a write now and then",
    file: "node/replication/follower.ts",
    edits: [[
      "this.#store.applyAll(entries);\n    const level",
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
    name: "a former primary says that unfinished writes were refused",
    file: "node/requests/write_queue.ts",
    edits: [[
      '        "outcome_unknown",\n        `the node stopped',
      '        "unavailable",\n        `the node stopped',
    ]],
    seedsMax: 40,
    storm: "pauses",
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
    name: "a client sends a write again whose outcome is unknown",
    file: "shared/operations/repeat.ts",
    edits: [["outcome_unknown: UNLESS_HARMFUL", "outcome_unknown: ALWAYS"]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "a broken connection counts as a refusal",
    file: "shared/wire/rpc_client.ts",
    edits: [['errorReply("outcome_unknown", text)', 'errorReply("unavailable", text)']],
    seedsMax: 40,
    storm: "cuts",
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
    name: "the gateway's cache keeps values for too long",
    file: "coordinator/gateway/value_cache.ts",
    edits: [["sinceMs + GATEWAY_CACHE_AGE_MS_MAX, ", "sinceMs + 2 * GATEWAY_CACHE_AGE_MS_MAX, "]],
    seedsMax: 20,
    storm: "caches",
  },
  {
    name: "a replica that restarted is made primary while others have gone on",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      'replica.presence === "live" && !replica.stale && !replica.damaged',
      'replica.presence === "live" && !replica.damaged',
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name: "a learner may be made primary",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      "const hot = config.inSync.filter((id) => isHot(of.replica(id)));",
      "const hot = [...config.learners, ...config.inSync].filter((id) => isHot(of.replica(id)));",
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name: "a transaction's checks are not looked at",
    file: "node/requests/request_evaluation.ts",
    edits: [["if (found !== version) return", "if (found + version < 0) return"]],
    seedsMax: 5,
  },
  {
    name: "a transaction is applied in two steps",
    file: "node/requests/request_executor.ts",
    edits: [[
      "this.#proposer.propose(request, changes, wallMs, settled(request, answer), reply);\n    } else this.answerReading(",
      'if (request.req_type === "transaction" && changes.length > 1) {\n' +
      "        this.#proposer.propose(request, changes.slice(0, 2), wallMs, answer, () => {});\n" +
      "        this.#owner.store.whenWritten(() =>\n" +
      "          this.#proposer.propose(request, changes.slice(2), wallMs, answer, reply));\n" +
      "      } else this.#proposer.propose(request, changes, wallMs, answer, reply);\n" +
      "    } else this.answerReading(",
    ]],
    seedsMax: 5,
  },
  {
    name: "a transaction over partitions is decided before all have prepared",
    file: "node/transactions/led_transaction.ts",
    edits: [[
      'if (round.every(({ state }) => state === "prepared")) this.#decide();',
      'if (round.some(({ state }) => state === "prepared")) this.#decide();',
    ]],
    seedsMax: 3,
    storm: "parts",
  },
  {
    name: "a client is told of a transaction over partitions before its decision is committed",
    file: "node/transactions/led_transaction.ts",
    edits: [[
      "proposer.propose(whole, changes,",
      'proposer.propose({ ...whole, acks: "primary" }, changes,',
    ]],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "a transaction over partitions happens without a record",
    file: "node/transactions/led_transaction.ts",
    edits: [[
      "    if (writers.length > 0) {\n      changes.push(",
      "    if (writers.length > 99) {\n      changes.push(",
    ]],
    seedsMax: 5,
    storm: "parts",
  },
  {
    name:
      "who asks is told that a transaction over partitions was aborted, although it has happened",
    file: "node/transactions/transaction_leader.ts",
    edits: [['seq === undefined ? { state: "aborted" }', 'seq !== -1 ? { state: "aborted" }']],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "a leader that leads a transaction over partitions tells who asks that it is over",
    file: "node/transactions/transaction_leader.ts",
    edits: [["if (this.#pending.has(attempt)) {", "if (this.#pending.has(attempt + attempt)) {"]],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "requests are judged by keys that a transaction over partitions holds",
    file: "node/transactions/partition_transactions.ts",
    edits: [["if (!this.#queue.isBusy(keys)) return false;", "return false;"]],
    seedsMax: 5,
    storm: "parts",
  },
  {
    name: "a read for a transaction over partitions does not look whether a key is held",
    file: "node/transactions/participant.ts",
    edits: [[
      "    if (keyQueue.isBusy(keys)) {\n      keyQueue.add(keys, request, reply, (left) => this.read(",
      "    if (keys.length < 0) {\n      keyQueue.add(keys, request, reply, (left) => this.read(",
    ]],
    seedsMax: 10,
    storm: "parts",
  },
  {
    name: "one reading is enough for a transaction over partitions",
    file: "node/transactions/led_transaction.ts",
    edits: [["const same = stamps === this.#stamps;", "const same = stamps !== this.#stamps;"]],
    seedsMax: 5,
    storm: "parts",
  },
  {
    name: "a leader judges its own keys although another transaction holds them",
    file: "node/transactions/led_transaction.ts",
    edits: [["if (keyQueue.isBusy(this.#ownKeys)) {", "if (this.#ownKeys.length < 0) {"]],
    seedsMax: 10,
    storm: "parts",
  },
  {
    name: "two attempts of one transaction over partitions both happen",
    file: "node/transactions/led_transaction.ts",
    edits: [[
      "      if (executor.answerBySession(request, this.#reply)) {\n        this.#giveUp();",
      "      if (this.#attempts < 0) {\n        this.#giveUp();",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "a new primary does not know which keys are held",
    file: "node/transactions/intent_table.ts",
    edits: [
      [
        "    if (this.#known) return Promise.resolve();\n",
        "    this.clear();\n    if (this.#known) return Promise.resolve();\n",
      ],
    ],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "keys are free again before the changes of a transaction over partitions are made",
    file: "node/transactions/participant.ts",
    edits: [[
      'if (head?.state !== "committed" && head?.state !== "aborted") return;',
      "if (head === undefined) return;",
    ]],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "only the first key of a part is held",
    file: "node/transactions/intent_table.ts",
    edits: [[
      "for (const one of intent.keys) this.#held.set(one, intent);",
      "for (const one of intent.keys.slice(0, 1)) this.#held.set(one, intent);",
    ]],
    seedsMax: 20,
    storm: "parts",
  },
  {
    name: "a participant says that it is prepared before its intent is committed",
    file: "node/transactions/participant.ts",
    edits: [[
      "proposer.propose(part, changes, wallMs, partReply(head, replies), reply);",
      'proposer.propose({ ...part, acks: "primary" }, changes, wallMs, partReply(head, replies), reply);',
    ]],
    seedsMax: 40,
    storm: "parts",
  },
  {
    name: "a decision is forgotten before its participants have made their changes",
    file: "node/transactions/transaction_leader.ts",
    edits: [[
      "    finishing.tellMs = ports.nowMs();\n",
      "    finishing.tellMs = ports.nowMs();\n    this.#delete(attempt, finishing);\n",
    ]],
    seedsMax: 40,
    storm: "parts",
  },
  {
    name: "the values of a transaction over partitions have other versions than it was told",
    file: "node/transactions/intent_rows.ts",
    edits: [["contentType }, version: seq };", "contentType }, version: seq + 1 };"]],
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "a repeated transaction is carried out again",
    file: "node/requests/request_dedup.ts",
    edits: [["if (remembered.request_number === requestNumber) return remembered.reply;", ""], [
      "if (remembered.request_number < requestNumber) return undefined;",
      "if (remembered.request_number <= requestNumber) return undefined;",
    ]],
    seedsMax: 40,
    storm: "groups",
  },
  {
    name: "an old copy of the coordinator's document is believed",
    file: "coordinator/membership/document_check.ts",
    edits: [[
      "if (isPast && later === undefined) return undefined;",
      "return undefined;",
    ]],
    seedsMax: 5,
    storm: "documents",
  },
  {
    name: "an old document is told by its epoch alone",
    file: "coordinator/state/lineage.ts",
    edits: [["return next === undefined || seen.epoch < next.from;", "return true || next;"], [
      "if (at < 0) return seen.generation === undefined || seen.epoch < (lineage[0]?.from ?? 0);",
      "if (at < 0) return true;",
    ]],
    seedsMax: 10,
    storm: "documents",
  },
  {
    name: "an old copy of a node's folder counts as the folder",
    file: "coordinator/membership/registration.ts",
    edits: [["if (restarted) checkFolder(state, out, member, message);", ""]],
    seedsMax: 10,
    storm: "put_back",
  },
  {
    name: "a process with an old copy of a folder is let in",
    file: "coordinator/membership/registration.ts",
    edits: [["if (incarnation >= newest && !taken) return undefined;", "return undefined;"]],
    seedsMax: 10,
    storm: "copies",
  },
  {
    name: "a longer lease from before is forgotten",
    file: "coordinator/state/cluster_state.ts",
    edits: [[
      "leaseMsMax: this.leaseMsMax,",
      "leaseMsMax: this.settings.leaseMs,",
    ]],
    seedsMax: 60,
    storm: "leases",
  },
  {
    name: "a lease from before is not waited for",
    file: "coordinator/state/cluster_state.ts",
    edits: [["Math.max(leaseMs, stored.leaseMsMax)", "leaseMs"]],
    seedsMax: 60,
    storm: "leases",
  },
  {
    name: "the coordinator publishes a map that is not on its disk",
    file: "coordinator/state/document_composer.ts",
    edits: [[
      "this.#writing = true;",
      "this.#writing = true;\n    queueMicrotask(() => [cluster, security].forEach((part) => part?.done()));",
    ], ["      cluster?.done();\n      security?.done();\n", ""]],
    seedsMax: 40,
    storm: "coordinator",
  },
  {
    name: "a request waits for its reply for ever",
    file: "shared/wire/request_table.ts",
    edits: [["if (!isLost(asked, now)) continue;", "if (!isAbandoned(asked.message)) continue;"]],
    seedsMax: 20,
  },
  {
    name: "what is closed leaves its connections open",
    file: "shared/routing/node_pool.ts",
    edits: [["for (const client of clients.values()) client.close();", ""]],
    seedsMax: 5,
  },
  {
    name: "replicas that are not urgently wanted are never made",
    file: "coordinator/partitions/move_queue.ts",
    edits: [["queue.urgent.size > 0 ? queue.urgent : queue.usual;", "queue.urgent;"]],
    seedsMax: 10,
  },
  {
    name: "a node that stops closes connections while requests are on their way",
    file: "shared/server/request_server.ts",
    edits: [[
      'if (this.connection.peer !== undefined) this.connection.send({ req_type: "closing" });',
      "if (this.connection.peer !== undefined) this.connection.close(true);",
    ]],
    seedsMax: 20,
    storm: "rolling",
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
    name: "a segment is appended to after a failure",
    file: "node/storage/journal/journal.ts",
    edits: [
      [
        "    this.#mustRoll = true;\n    await segment",
        "    await segment",
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
    name: "a page of a scan leaves before what it shows is committed",
    file: "node/scans/partition_merge.ts",
    edits: [[
      "    (run) => call.stable(run.partition, run.primary),\n  );\n  const covered",
      "    () => true,\n  );\n  const covered",
    ]],
    seedsMax: 60,
    storm: "scans",
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
  {
    name: "that a key has expired is answered before it is committed",
    file: "node/requests/request_executor.ts",
    edits: [[
      "this.#writes.whenCommitted(last, request, reply, () => reply(answer));",
      "reply(answer);",
    ]],
    seedsMax: 60,
    storm: "expiries",
  },
  {
    name: "a client session is forgotten without a word",
    file: "node/requests/client_session_table.ts",
    edits: [
      ["evictedSeq = Math.max(evictedSeq, session.seq);", ""],
      ["this.#evictedSeq = Math.max(this.#evictedSeq, before?.seq ?? 0);", ""],
    ],
    seedsMax: 20,
    storm: "answers",
  },
  {
    name: "a round of confirmation speaks for reads that came after it began",
    file: "node/requests/unconfirmed_reads.ts",
    edits: [[
      "const reads = this.#asked.takeAll();\n    if (!confirmed)",
      "const reads = [...this.#asked.takeAll(), ...this.#next.takeAll()];\n    if (!confirmed)",
    ]],
    seedsMax: 60,
    storm: "rounds",
  },
  {
    name: "a replica that was primary in between is filled in an earlier term",
    file: "node/replication/replica.ts",
    edits: [["else if (term < this.store.state.term) {", "else if (term < 0) {"]],
    seedsMax: 30,
    storm: "rounds",
  },
  {
    name: "the coordinator does not notice that it stood still itself",
    file: "coordinator/membership/liveness.ts",
    edits: [["if (ms <= failureTimeoutMs / 2) return;", "if (ms >= 0) return;"]],
    seedsMax: 30,
    storm: "coordinator's standstills",
  },
  {
    name: "any read that fails is taken for damage",
    file: "node/replication/replica.ts",
    edits: [[
      "if (isDamage(error)) return this.#onDamaged(failureOf(error));",
      "if (isDamage(error) || what !== undefined) return this.#onDamaged(failureOf(error));",
    ]],
    seedsMax: 20,
    storm: "reads",
  },
  {
    name: "a primary that cannot write stays primary",
    file: "coordinator/partitions/mover.ts",
    edits: [[
      "(node?.writable === false && this.#canWriteWithout(partition, id));",
      "(node?.writable === false && this.#canWriteWithout(partition, id) && false);",
    ]],
    seedsMax: 3,
    storm: "full",
  },
  {
    name: "a primary waits for its full disk before it hands over",
    file: "node/replication/primary.ts",
    edits: [[
      "return this.#writes.size === 0 || this.ports.diskFailingMs() > 0;",
      "return this.#writes.size === 0;",
    ]],
    seedsMax: 3,
    storm: "full",
  },
  {
    name: "a node does not tell a new coordinator that its disk is full",
    file: "node/node.ts",
    edits: [["if (!this.#disk.writable) this.#reportDisk();", ""]],
    seedsMax: 3,
    storm: "full",
  },
  {
    name: "a node that cannot be told anything is not found out",
    file: "coordinator/membership/liveness.ts",
    edits: [[
      'if (member.session === undefined) return "it has no connection to the TCP port";',
      "if (nowMs >= 0) return undefined;",
    ]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "a deaf node is given leases",
    file: "coordinator/membership/liveness.ts",
    edits: [["lease: hears && hasRight,", "lease: true,"]],
    seedsMax: 40,
    storm: "channels",
  },
  {
    name: "a node that does not take over its map is given partitions",
    file: "coordinator/membership/liveness.ts",
    edits: [["if (map < member.owedEpoch) {", "if (map < 0) {"]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "a coordinator that nobody has reached judges everybody",
    file: "coordinator/membership/liveness.ts",
    edits: [[
      "if (state.members.size > 0) this.#awaitsFirstSinceMs = nowMs;",
      "if (state.members.size < 0) this.#awaitsFirstSinceMs = nowMs;",
    ]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "a replica from before its data was given up is sent a difference",
    file: "node/replication/follower_stream.ts",
    edits: [["info.last_term < (config.forcedTerm ?? 0)", "info.last_term < 0"]],
    seedsMax: 20,
    storm: "forces",
  },
  {
    name: "an old document is gone on from below what nodes have seen",
    file: "coordinator/membership/document_check.ts",
    edits: [["    publisher.leapTo(from);\n", ""]],
    seedsMax: 5,
    storm: "accepted",
  },
  {
    name: "an old document is gone on from without new terms",
    file: "coordinator/membership/document_check.ts",
    edits: [[
      "Math.max(config.term, held.get(p) ?? 0) + ACCEPTED_TERM_LEAP;",
      "config.term;",
    ]],
    seedsMax: 5,
    storm: "accepted",
  },
  {
    name: "a request goes round without its flag",
    file: "shared/routing/router.ts",
    edits: [["relay: via === undefined ? undefined : true,", "relay: undefined,"]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "what came by datagram counts as heard",
    file: "node/membership/heartbeat_sender.ts",
    edits: [[
      "this.#datagramAckMs = this.#clock.monotonicMs();\n    if (!this.#blocked) return;",
      "this.#datagramAckMs = this.#clock.monotonicMs();\n" +
      "    if (ack.at > (this.#heard?.at ?? -Infinity)) this.#heard = { at: ack.at, askedMs: ack.sent };\n" +
      "    if (!this.#blocked) return;",
    ]],
    seedsMax: 10,
    storm: "outages",
  },
  {
    name: "a lease goes on after the machine has slept",
    file: "node/membership/lease.ts",
    edits: [[
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs &&\n" +
      "      now.wallMs < this.#sent.wallMs + leaseMs;",
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs;",
    ]],
    seedsMax: 40,
    storm: "channels",
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
    name: "a heartbeat's seal is not looked at",
    file: "shared/security/datagram_channel.ts",
    edits: [[
      "    if (!timingSafeEqual(Buffer.from(mac), Buffer.from(wanted))) return undefined;\n",
      "    timingSafeEqual(Buffer.from(mac), Buffer.from(wanted));\n",
    ]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a repeated heartbeat is believed",
    file: "shared/security/datagram_channel.ts",
    edits: [["    if (counter <= this.#received) return undefined;\n", ""]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a hello's role is believed without a certificate",
    file: "shared/server/handshake.ts",
    edits: [[
      "if (secured !== true) return undefined;",
      "if (secured !== true || member === undefined) return undefined;",
    ]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a node is who it says, whatever its certificate says",
    file: "shared/server/handshake.ts",
    edits: [['(wanted === "coordinator" || node === member.id)', "true"]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a node's word for a later map stops the coordinator",
    file: "coordinator/membership/document_check.ts",
    edits: [["if (this.#seals !== undefined && !isShown)", "if (false && !isShown)"]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "nodes are not told of changed users",
    file: "coordinator/member_sessions.ts",
    edits: [["    for (const peer of this.#open.values()) peer.sendText(security);\n", ""]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "a seal is that of any map",
    file: "shared/security/map_seal.ts",
    edits: [["generation ?? null, epoch]", "generation ?? null]"]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "a change of users that the disk has refused is acknowledged",
    file: "shared/security/security_keeper.ts",
    edits: [[
      "        done(toErrorReply(new KvError(code, text, { cause: error })));\n",
      '        done(code === undefined ? toErrorReply(new KvError(code, text)) : { req_type: "result", result });\n',
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/secured_node_server_test.ts",
  },
  {
    name: "users go back to a version that nodes have passed",
    file: "shared/security/security_keeper.ts",
    edits: [["Math.max(document.version, this.#seen.version + 1)", "document.version"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/security_keeper_test.ts",
  },
  {
    name: "whoever connects takes any member for the one that it looks for",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [[
      "if (role === wanted.role && (wanted.id === undefined || id === wanted.id)) return;",
      "if (role === wanted.role) return;",
    ], [
      "servername: memberServerName(wanted),",
      "servername: memberServerName({ role: wanted.role }),",
    ]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
  {
    name: "a connection outlives the certificate by which it was opened",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [["if (!isRevoked && Date.now() <= untilMs) {", "if (!isRevoked) {"]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
  {
    name: "a register that leaps is believed",
    file: "coordinator/membership/registration.ts",
    edits: [["    if (leap <= max) continue;\n", "    if (leap <= max || true) continue;\n"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/membership/registration_test.ts",
  },
  {
    name: "a revoked certificate counts",
    file: "shared/security/member_identity.ts",
    edits: [["return this.#revoked.has(serial);", "return this.#revoked.has(`not ${serial}`);"]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "the requests of a batch are not judged",
    file: "node/server/node_server.ts",
    edits: [["          this.#logins?.admit(one, connection, undefined);\n", ""]],
    seedsMax: 10,
    storm: "adversary",
  },
  {
    name: "a client's word for whom its request is is believed",
    file: "shared/server/wire_logins.ts",
    edits: [[
      " else if (said !== undefined) throw notAMember(request);\n    const principal",
      "\n    const principal",
    ]],
    seedsMax: 10,
    storm: "adversary",
  },
  {
    name: "a scan may begin inside of what is granted and end outside",
    file: "shared/security/rights.ts",
    edits: [["compareKeys(range.end, span.end) <= 0", "compareKeys(range.end, span.end) >= -1"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/rights_test.ts",
  },
  {
    name: "the primary does not judge what another node passes on",
    file: "shared/server/wire_logins.ts",
    edits: [[
      "if (refusal !== undefined) throw refusal;",
      "if (refusal !== undefined && said === undefined) throw refusal;",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/secured_node_server_test.ts",
  },
  {
    name: "a node registers as another one over its own session",
    file: "coordinator/member_sessions.ts",
    edits: [[
      "  if (message.node === node) return;\n",
      "  if (message.node !== undefined) return;\n",
    ]],
    seedsMax: 1,
    test: "tests/simulation/hostile_messages_test.ts",
  },
  {
    name: "an older document of users and roles takes the place of a newer one",
    file: "shared/security/access_control.ts",
    edits: [["    if (document.version <= this.#document.version) return;\n", ""]],
    seedsMax: 1,
    test: "tests/unit/shared/security/access_control_test.ts",
  },
  {
    name: "guesses that are under way do not count",
    file: "shared/security/login/login_throttle.ts",
    edits: [["return underWay === 0 ||", "return underWay >= 0 ||"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/login/login_turns_test.ts",
  },
  {
    name: "a member's port looks at no revoked certificate",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [[
      "    if (this.#identity.isRevoked(serial)) {\n",
      "    if (this.#identity.isRevoked(`not ${serial}`)) {\n",
    ]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
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
    name: "a change of the map is laid on another map than it starts from",
    harmless:
      "a session is sent a change only if it was sent the map before it, on the same connection, in order",
    file: "shared/cluster/cluster_map.ts",
    edits: [["if (delta.fromEpoch !== map.epoch) return undefined;", ""]],
    seedsMax: 20,
    storm: "coordinator",
  },
  {
    name: "a replica with nothing may be made primary",
    harmless:
      "an in-sync replica has acknowledged every committed write, with the partition's state record in " +
      "the batch: if it holds nothing, nothing was committed; one that was wiped as damaged is told apart",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      "const holding = cold.filter((id) => of.replica(id).held !== undefined);",
      "const holding = cold;",
    ]],
    seedsMax: 20,
  },
];

/**
 * The file's text with the mistake in it.
 *
 * @throws {Error} if the production code has changed, so that the mistake has no place any more
 */
export function mutate(source: string, { name, file, edits }: Mutation): string {
  let text = source;
  for (const [from, to] of edits) {
    const parts = text.split(from);
    if (parts.length !== 2) {
      throw new Error(
        `${name}: ${JSON.stringify(from)} must be in ${file} once, and is there ` +
          `${parts.length - 1} times; adapt tests/simulation/mutations/mutations.ts`,
      );
    }
    text = parts.join(to);
  }
  return text;
}
