/**
 * Seeded bugs of transactions, of one partition and over several.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

export const TRANSACTION_MUTATIONS: readonly Mutation[] = [
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
    seedsMax: 1,
    // In the simulation it shows only if the leader's disk is lost in the moment between.
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
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
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "a decision that the last replica cannot read is taken for none",
    file: "node/transactions/transaction_leader.ts",
    edits: [["if (known !== undefined || !intents.mayLack(key)) return known;", "return known;"]],
    seedsMax: 1,
    test: "tests/regression/damaged_row_of_the_last_replica_test.ts",
  },
  {
    name: "an intent that the last replica cannot read is taken for done",
    file: "node/transactions/participant.ts",
    edits: [["if (known !== undefined || !intents.mayLack(key)) return known;", "return known;"]],
    seedsMax: 1,
    test: "tests/regression/damaged_row_of_the_last_replica_test.ts",
  },
  {
    name: "a decision is forgotten before its participants have made their changes",
    file: "node/transactions/transaction_leader.ts",
    edits: [[
      "    finishing.tellMs = ports.nowMs();\n",
      "    finishing.tellMs = ports.nowMs();\n    this.#delete([attempt]);\n",
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
    name:
      "X8: the end of a value that had expired is a greater version than what is written over it",
    file: "node/requests/request_evaluation.ts",
    edits: [
      ["return this.#expired.get(key)?.place ?? length;", "return length;"],
      ["(key) => !this.#writes.has(key)", "() => true"],
    ],
    seedsMax: 1,
    test: "tests/regression/version_after_an_expired_key_test.ts",
  },
  {
    name: "X7: intents are asked about in the order in which they came, whoever answers",
    file: "node/transactions/participant.ts",
    edits: [["    due.sort((a, b) => a.watch.askedMs - b.watch.askedMs);\n", ""]],
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "X10: what a transaction over partitions reads may be as long as it likes",
    file: "node/transactions/led_transaction.ts",
    edits: [[
      "if (this.#replyBytes > TRANSACTION_REPLY_BYTES_MAX) return replyTooLong();",
      "if (this.#replyBytes < 0) return replyTooLong();",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "X3: who reads some keys of a partition waits for the others that are held",
    file: "node/transactions/intent_table.ts",
    edits: [["isWanted === undefined ? held : held.filter(isWanted)", "held"]],
    seedsMax: 1,
    test: "tests/unit/node/transactions/transactions_over_partitions_test.ts",
  },
  {
    name: "a transaction's values count for as long as they are in base64",
    file: "shared/validation/transaction_checks.ts",
    edits: [['Buffer.byteLength(value64, "base64")', "value64.length"]],
    seedsMax: 1,
    test: "tests/unit/shared/validation/transaction_checks_test.ts",
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
];
