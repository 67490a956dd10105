/**
 * Seeded bugs of watches, by the rules of docs/watch.md that they break: see `mutations.ts`. The simulation has two
 * watchers in every run, and must find those without a `test`.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

const READER_TEST = "tests/unit/node/watch/partition_reader_test.ts";
const NODE_TEST = "tests/unit/node/watch/node_watch_test.ts";
const LOG_TEST = "tests/unit/node/watch/commit_log_test.ts";
const CLUSTER_TEST = "tests/unit/shared/database/cluster_watch_test.ts";

/** All of them. */
export const WATCH_MUTATIONS: readonly Mutation[] = [
  {
    name: "watch V3: a page is told before what it shows is committed",
    file: "node/watch/partition_reader.ts",
    edits: [["if (!await ports.whenCommitted(upto))", "if (!await ports.whenCommitted(0))"]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch V3: a new primary tells what it has found before it is committed",
    file: "node/watch/partition_feed.ts",
    edits: [
      ['if (phase === "resyncing" || phase === "stopped")', 'if (phase === "stopped")'],
      ["new CommitLog(store.state.commitSeq,", "new CommitLog(store.state.lastSeq,"],
    ],
    seedsMax: 20,
  },
  {
    name: "watch V4: a partition that was read leaves no mark of how new its pages were",
    file: "node/watch/partition_reader.ts",
    edits: [["? { lineage, seq: base, upto }", "? { lineage, seq: base, upto: base }"]],
    seedsMax: 1,
    test: READER_TEST,
  },
  {
    name: "watch V4: who reads a partition goes on behind what was written meanwhile",
    file: "node/watch/partition_reader.ts",
    edits: [["? { lineage, seq: base, upto }", "? { lineage, seq: upto, upto }"]],
    seedsMax: 1,
    test: READER_TEST,
  },
  {
    name: "watch V5: seqs of another lineage count as one's own",
    file: "node/watch/node_watch.ts",
    edits: [["position.lineage !== lineage || position.upto", "position.upto"]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch V7: tombstones that were dropped are not missed",
    file: "node/watch/partition_reader.ts",
    edits: [
      [
        '  // Rule V7.\n  if (!whole && store.state.watermark > beyond) return "reset";\n',
        "",
      ],
      [
        '  if (!whole && store.state.watermark > beyond) return "reset";\n  const base',
        "  const base",
      ],
    ],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch V6: an answer ends in the middle of writes that belong together",
    file: "node/watch/commit_log.ts",
    edits: [["if (ends && isFull(room))", "if (isFull(room))"]],
    seedsMax: 1,
    test: LOG_TEST,
  },
  {
    name: "watch V2: the log answers from below its floor",
    file: "node/watch/commit_log.ts",
    edits: [["return seq >= this.#floor && seq <= this.#last;", "return seq <= this.#last;"]],
    seedsMax: 10,
  },
  {
    name: "watch V1: a watcher that is woken is moved past what woke it",
    file: "node/watch/partition_feed.ts",
    edits: [[
      "waiter.passed(this.primary.partition, this.#told);\n      this.waiters.set",
      "waiter.passed(this.primary.partition, log.last);\n      this.waiters.set",
    ]],
    seedsMax: 10,
  },
  {
    name: "watch V1: a watcher that waits is not moved along, and not told of it either",
    file: "node/watch/partition_feed.ts",
    edits: [[
      "if (!rests || !keys.some(waiter.matches)) return;",
      "if (rests || !rests) return;",
    ]],
    seedsMax: 10,
  },
  {
    name: "watch V1: a watcher that was woken counts as one that has everything",
    file: "node/watch/partition_feed.ts",
    edits: [["      this.waiters.set(waiter, false);\n", ""]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch V1: what an old primary says counts after its partition has moved",
    file: "shared/database/cluster_watch.ts",
    edits: [[
      "this.#places?.get(partition)?.question === question\n",
      "this.#places?.has(partition) === true\n",
    ]],
    seedsMax: 1,
    test: CLUSTER_TEST,
  },
  {
    name: "watch V8: answers of before a reset are told behind it",
    file: "shared/database/cluster_watch.ts",
    edits: [[
      '    this.#answers = [];\n    this.#notices = ["reset"];',
      '    this.#notices = ["reset"];',
    ]],
    seedsMax: 1,
    test: CLUSTER_TEST,
  },
  {
    name: "watch V8: a token of before level begins without reset",
    file: "shared/database/cluster_watch.ts",
    edits: [[
      "told?.has(partition) === true && !isUnfinished(partition)",
      "told?.has(partition) === true",
    ]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch: a token names what comes behind its event as told",
    file: "shared/database/cluster_watch.ts",
    edits: [[
      "const token = () => this.#tokenBehind(steps);",
      "const token = () => this.#tokenBehind(Math.max(steps, this.#steps.length));",
    ]],
    seedsMax: 1,
    test: CLUSTER_TEST,
  },
  {
    name: "watch: deletions are left out of what is read",
    file: "node/watch/partition_reader.ts",
    edits: [[
      "(whole ? isLive(entry, wallMs) : isTombstone(entry) || isLive(entry, wallMs))",
      "isLive(entry, wallMs)",
    ]],
    seedsMax: 20,
  },
  {
    name: "watch: level is told while partitions are still being read",
    file: "shared/database/cluster_watch.ts",
    edits: [["if (!level) return false;", "if (!level) break;"]],
    seedsMax: 1,
    test: CLUSTER_TEST,
  },
  {
    name: "watch: a reading waits for a commit without end",
    file: "node/watch/node_watch.ts",
    edits: [["() => giveUp());", "() => {});"]],
    seedsMax: 1,
    test: "tests/regression/watch_read_on_a_slow_disk_test.ts",
  },
  {
    name: "watch: level is told although a primary does not serve yet",
    file: "node/watch/node_watch.ts",
    edits: [["      if (this.#isBehind(poll)) gathered.more = true;\n", ""]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch: level is told although there was no room for some partitions",
    file: "node/watch/node_watch.ts",
    edits: [
      ["if (isEnough && toRead.length > 0) gathered.more = true;", ""],
      [
        "        gathered.more = true;\n        return;\n      }\n      const feed",
        "        return;\n      }\n      const feed",
      ],
    ],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch: who waits to be read for is moved past what was found for him",
    file: "node/watch/node_watch.ts",
    edits: [["const { gathered = new Gathered() } = poll;", "const gathered = new Gathered();"]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "watch: a place that somebody claims is waited for",
    file: "node/watch/partition_reader.ts",
    edits: [["begins && whole ? 0 : position.upto", "position.upto"]],
    seedsMax: 1,
    test: NODE_TEST,
  },
  {
    name: "V8: a token of a database that was dropped goes on in the next one of its name",
    file: "shared/watch/watch_token.ts",
    edits: [["number === 0 ? clusterId", "number >= 0 ? clusterId"]],
    seedsMax: 1,
    test: "tests/unit/shared/watch/watch_token_test.ts",
  },
  {
    name: "tracking: who wants to be told of changes waits for that without end",
    file: "node/resp/watch/changes.ts",
    edits: [["() => this.#end(waiting, false));", "() => {});"]],
    seedsMax: 1,
    test: "tests/unit/node/resp/tracking_test.ts",
  },
  {
    name: "tracking: a client is told of changes of default alone",
    file: "node/resp/watch/tracking.ts",
    edits: [["    const { prefix } = session.database;\n", '    const prefix = "";\n']],
    seedsMax: 1,
    test: "tests/unit/node/resp/tracking_test.ts",
  },
];
