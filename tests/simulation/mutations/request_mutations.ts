/**
 * Seeded bugs on the way of a request: how it is judged, read, scanned and repeated, at the node, at the gateway
 * and in the client.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

export const REQUEST_MUTATIONS: readonly Mutation[] = [
  {
    name: "one confirmation is enough for a read",
    file: "node/requests/read_confirmations.ts",
    edits: [["else if (needed.size === 0) this.#end", "else this.#end"]],
    seedsMax: 60,
    storm: "halves",
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
    name: "the gateway's cache keeps values for too long",
    file: "coordinator/gateway/value_cache.ts",
    edits: [["sinceMs + GATEWAY_CACHE_AGE_MS_MAX, ", "sinceMs + 2 * GATEWAY_CACHE_AGE_MS_MAX, "]],
    seedsMax: 20,
    storm: "caches",
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
    name: "a node that stops closes connections while requests are on their way",
    file: "shared/server/request_server.ts",
    edits: [[
      'if (this.connection.peer !== undefined) this.connection.send({ req_type: "closing" });',
      "if (this.connection.peer !== undefined) this.connection.close(true);",
    ]],
    seedsMax: 1,
    test: "tests/unit/shared/server/request_server_test.ts",
  },
  {
    name: "a page of a scan leaves before what it shows is committed",
    file: "node/scans/partition_merge.ts",
    edits: [[
      "    (run) => call.stable(run.partition, run.primary, range),\n  );\n  const covered",
      "    () => true,\n  );\n  const covered",
    ]],
    seedsMax: 1,
    // In the simulation it shows only if what was read is lost then: the storm `scans` took six seeds once, and sixty are
    // not enough now.
    test: "tests/unit/node/scans/node_scans_test.ts",
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
    seedsMax: 1,
    // The storm `rounds` found it in the 48th seed once, and sixty were not enough later.
    test: "tests/unit/node/requests/unconfirmed_reads_test.ts",
  },
  {
    name: "a request goes round without its flag",
    file: "shared/routing/router.ts",
    edits: [["relay: via === undefined ? undefined : true,", "relay: undefined,"]],
    seedsMax: 5,
    storm: "outages",
  },
];
