/**
 * Seeded bugs of databases: their list and its numbers, the rows of those that were dropped, and what each one has.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

/** Databases on a few nodes that die and come back, against a model. */
const DATABASES_TEST = "tests/unit/node/maintenance/dropped_databases_test.ts";

export const DATABASE_MUTATIONS: readonly Mutation[] = [
  {
    name: "W11: the number of a database that was dropped is given again",
    file: "shared/cluster/databases.ts",
    edits: [[
      "  return { ...databases, list: databases.list.filter((database) => database !== dropped) };",
      "  const list = databases.list.filter((database) => database !== dropped);\n" +
      "  return { next: (list.at(-1)?.number ?? 0) + 1, list };",
    ]],
    seedsMax: 20,
  },
  {
    name: "W11: a coordinator that starts again has forgotten the databases",
    file: "coordinator/state/cluster_state.ts",
    edits: [["    this.#databases = map.databases;\n", ""]],
    seedsMax: 20,
  },
  {
    name: "C13: a name is given again at once",
    file: "coordinator/state/dropped_names.ts",
    edits: [["return this.#epochs.has(name);", "return this.#epochs.has(name) && false;"]],
    seedsMax: 10,
    storm: "names",
  },
  {
    name: "C13: a coordinator that begins has forgotten which names were dropped",
    file: "coordinator/state/cluster_state.ts",
    edits: [["new DroppedNames(stored.dropped)", "new DroppedNames()"]],
    seedsMax: 1,
    test: "tests/scenarios/scenarios_test.ts",
  },
  {
    name: "C13: a partition without a primary is one that nobody writes to",
    file: "coordinator/state/cluster_state.ts",
    edits: [["if (inSync.length === 0) continue;", "if (primary === undefined) continue;"]],
    seedsMax: 40,
    storm: "names",
  },
  {
    name: "C13: who is primary since the drop need not have heard of that",
    file: "coordinator/state/cluster_state.ts",
    edits: [["return knownEpoch < this.#primariesEpoch ? 0 : knownEpoch;", "return knownEpoch;"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/controller/databases_of_nodes_test.ts",
  },
  {
    name: "databases: what was written between two pages is not among what expires",
    file: "node/storage/partition_sums.ts",
    edits: [[
      "if (pass.counted !== undefined && compareKeys(key, pass.counted) <= 0) pass.expiring += sign;",
      "void key;\n      void sign;",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/storage/partition_store_test.ts",
  },
  {
    name: "W11: rows of a dropped database stay for ever",
    file: "node/maintenance/dropped_databases.ts",
    edits: [[
      "    primary.deleteDropped(entries.map(({ key }) => key), this.#clock.wallMs());\n",
      "    void entries;\n",
    ]],
    seedsMax: 20,
  },
  {
    name: "W11: the rows of a dropped database are looked for from the beginning each time",
    file: "node/maintenance/dropped_databases.ts",
    edits: [[": { number, together, after: next },", ": { number, together },"]],
    seedsMax: 1,
    test: "tests/unit/node/maintenance/large_partition_test.ts",
  },
  {
    name: "W11: what a database has is not less when a key is deleted",
    file: "node/storage/database_tallies.ts",
    edits: [["keys: before.keys + sign,", "keys: before.keys + Math.max(0, sign),"]],
    seedsMax: 10,
  },
  {
    name: "W11: a node with an old list deletes rows of a newer database",
    file: "node/maintenance/dropped_databases.ts",
    edits: [["number < databases.next && databaseOfNumber", "databaseOfNumber"]],
    seedsMax: 1,
    test: DATABASES_TEST,
  },
  {
    name: "W11: a node serves who names a dropped database inside of a transaction",
    file: "node/node.ts",
    edits: [["  for (const { key } of requests ?? []) yield key;\n", "  void requests;\n"]],
    seedsMax: 1,
    test: DATABASES_TEST,
  },
  {
    name: "databases: a map of before an order is taken for what came of it",
    file: "node/server/database_directory.ts",
    edits: [[
      "waiting.epoch === undefined || epoch < waiting.epoch",
      "epoch < (waiting.epoch ?? 0)",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_directory_test.ts",
  },
  {
    name: "databases: a node's own map decides that a database is there already",
    file: "node/server/database_directory.ts",
    edits: [[
      "    this.#look(name, done, (found) => {\n      if (found === undefined) this.#want",
      "    const here = findDatabase(this.list, name);\n    if (here !== undefined) return done(whyNot(() => withDatabase(this.list, order)));\n" +
      "    this.#look(name, done, (found) => {\n      if (found === undefined) this.#want",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_directory_test.ts",
  },
  {
    name: "databases: the one is dropped that the node's own map has",
    file: "node/server/database_directory.ts",
    edits: [[
      "    this.#look(name, done, (found) => {\n      if (found === undefined) done(noDatabase",
      "    const here = findDatabase(this.list, name);\n    if (here !== undefined) return this.#want({ drop: here }, done);\n" +
      "    this.#look(name, done, (found) => {\n      if (found === undefined) done(noDatabase",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_directory_test.ts",
  },
  {
    name: "quotas: what a transaction takes out of one database is room in the other",
    file: "node/server/database_quotas.ts",
    edits: [[
      "databaseNumberOf(key) !== number || changesNoLength",
      "number < 0 || changesNoLength",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_quotas_test.ts",
  },
  {
    name: "quotas: the room that the others were seen to leave is never used up",
    file: "node/server/database_quotas.ts",
    edits: [["own[what] + growth[what] - then[what] <=", "growth[what] <="]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_quotas_test.ts",
  },
  {
    name: "quotas: a key that comes from another database is judged by the quota of that one alone",
    file: "node/server/database_quotas.ts",
    edits: [[
      "for (const { key } of stepsOf(request)) {\n    const database",
      "for (const { key } of stepsOf(request).slice(0, 1)) {\n    const database",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_quotas_test.ts",
  },
  {
    name: "quotas: the keys of other nodes count as new ones",
    file: "node/server/quota_gate.ts",
    edits: [["if (foreign.size === 0) return", "if (foreign.size >= 0) return"]],
    seedsMax: 1,
    test: "tests/unit/node/server/quota_gate_test.ts",
  },
  {
    name: "quotas: what a transaction writes twice counts twice",
    file: "node/server/database_quotas.ts",
    edits: [["lengths.has(key) ? lengths.get(key) : lengthOf(key)", "lengthOf(key)"]],
    seedsMax: 1,
    test: "tests/unit/node/server/database_quotas_test.ts",
  },
  {
    name: "databases: who watches all keys of default is told of rows of other databases",
    file: "shared/watch/watch_selection.ts",
    edits: [["!isSystemKey(key) && !isNamedKey(key);", "!isSystemKey(key);"]],
    seedsMax: 6,
  },
  {
    name: "databases: who watches a named one is told nothing",
    file: "shared/watch/watch_selection.ts",
    edits: [["  if (isNamedKey(prefix)) return begins;\n", ""]],
    seedsMax: 6,
  },
  {
    name: "quotas: a database may have twice as many keys as its quota",
    file: "node/server/database_quotas.ts",
    edits: [["keys + growth.keys > maxKeys", "keys + growth.keys > 2 * maxKeys"]],
    seedsMax: 20,
  },
  {
    name: "databases: a key that has expired stays among those that will",
    file: "node/storage/database_tallies.ts",
    edits: [["(expires ? sign : 0)", "(expires ? Math.max(0, sign) : 0)"]],
    seedsMax: 1,
    test: "tests/unit/node/storage/database_tallies_test.ts",
  },
  {
    name: "databases: an order to drop one drops a later one of that name",
    file: "coordinator/controller/cluster_controller.ts",
    edits: [[
      "findDatabase(databases, input.name)?.number !== input.number",
      "findDatabase(databases, input.name) === undefined",
    ]],
    seedsMax: 1,
    test: "tests/unit/coordinator/controller/databases_of_nodes_test.ts",
  },
  {
    name: "databases: a scan of the default one ends before the rows of the others",
    file: "shared/cluster/databases.ts",
    edits: [["then: hasRest ? PAST_NAMED : undefined", "then: hasRest ? undefined : undefined"]],
    seedsMax: 1,
    test: DATABASES_TEST,
  },
  {
    name: "databases: what is written while rows are counted is not counted",
    file: "node/storage/database_tallies.ts",
    edits: [["of journal) {", "of [] as typeof journal) {"]],
    seedsMax: 1,
    test: "tests/unit/node/storage/database_tallies_test.ts",
  },
];
