/**
 * Seeded bugs of the coordinators' register: as those of `mutations.ts`, but they are looked for by the storms over the
 * register alone (`tests/support/worlds/register_storms.ts`), thousands of which take a minute.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

// Not here, since no storm finds them soon enough, but unit tests do: a release that ends every hold, a candidate that
// counts a majority of the set in its own document, and an active one that keeps what it knows of folders to itself.

const FOLDER = "coordinator/register";

/** One of them. */
type RegisterMutation = Omit<Mutation, "storm" | "file"> & { readonly file: string };

const BUGS: readonly RegisterMutation[] = [
  {
    name: "register: a promise is told before it is on disk",
    file: "register_member.ts",
    edits: [['type === "promised" || type === "accepted"', 'type === "accepted"']],
    seedsMax: 20,
  },
  {
    name: "register: an accepted document is told before it is on disk",
    file: "register_member.ts",
    edits: [['type === "promised" || type === "accepted"', 'type === "promised"']],
    seedsMax: 20,
  },
  {
    name: "register: a confirmation holds nothing back",
    file: "acceptor.ts",
    edits: [[
      'this.hold.confirm(generation, nowMs);\n    return { type: "confirmed"',
      'return { type: "confirmed"',
    ]],
    seedsMax: 20,
  },
  {
    name: "register: a right counts from the answer",
    file: "active.ts",
    edits: [
      [
        "  #isHeld = false;\n",
        "  #isHeld = false;\n  readonly #sent = new Map<number, Moment>();\n",
      ],
      [
        "    const round = this.#ports.nextRound();\n    this.#right.begin(round, now);\n    const { generation }",
        "    const round = this.#ports.nextRound();\n    const sent = { ...now };\n" +
        "    this.#sent.set(round, sent);\n    this.#right.begin(round, sent);\n    const { generation }",
      ],
      [
        "    this.#confirm(round, from.folder);\n    this.#beginIfRight(now);",
        "    const sent = this.#sent.get(round);\n    if (sent !== undefined) Object.assign(sent, now);\n" +
        "    this.#confirm(round, from.folder);\n    this.#beginIfRight(now);",
      ],
    ],
    seedsMax: 400,
  },
  {
    name: "register: the majority of the set before decides",
    file: "active.ts",
    edits: [[
      "isQuorum(proposed.document.set, acceptedBy)",
      "isQuorum(this.#latest.base.document.set, acceptedBy)",
    ]],
    seedsMax: 20,
  },
  {
    name: "register: a document of an old generation is accepted",
    file: "acceptor.ts",
    edits: [[
      "const refusal = this.#refusal(round, stamp.generation);\n    if (refusal !== undefined) return refusal;",
      "if (compareGenerations(stamp.generation, this.hold.confirmed) < 0) return undefined;",
    ]],
    seedsMax: 100,
  },
  {
    name: "register: learners count",
    file: "coordinator_set.ts",
    edits: [[
      "return isMajority(voters, folders) &&",
      "return isMajority([...voters, ...(wanted ?? [])], folders) &&",
    ]],
    seedsMax: 100,
  },
  {
    name: "register: the set changes in one step",
    file: "coordinator_set.ts",
    edits: [[
      "return { voters, wanted, joint: true };",
      "return { voters: wanted, joint: false };",
    ]],
    seedsMax: 400,
  },
  {
    name: "register: the set becomes joint though its new majority is away",
    file: "coordinator_set.ts",
    edits: [["if (!isMajority(wanted, new Set(there))) return undefined;", ""]],
    seedsMax: 1,
    test: "tests/regression/removal_with_a_lost_folder_test.ts",
  },
  {
    name: "register: only the set of its own document can let one take part that has started",
    file: "register_member.ts",
    edits: [[" || (told !== undefined && isQuorum(told, known))", ""]],
    seedsMax: 1,
    test: "tests/regression/voter_behind_a_change_test.ts",
  },
  {
    name: "register: who has answered before a removal counts as one that is there",
    file: "active.ts",
    edits: [[
      "    for (const follower of this.#followers.values()) follower.heardMs = -Infinity;\n",
      "",
    ]],
    seedsMax: 1,
    test: "tests/regression/removal_just_after_a_loss_test.ts",
  },
  {
    name: "register: a learner of a document that was never chosen waits for ever",
    file: "register_member.ts",
    edits: [[
      "const isForgotten = this.#admitted && this.#isForgotten(nowMs);",
      "const isForgotten = false;",
    ]],
    seedsMax: 1,
    test: "tests/regression/learner_of_a_lost_document_test.ts",
  },
  {
    name: "register: a blank folder asks only those whom it knew",
    file: "register_member.ts",
    edits: [["const isBlank = this.#acceptor.accepted === undefined;", "const isBlank = false;"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/register/register_member_test.ts",
  },
  {
    name: "register: one that has started asks nobody whom its document does not name",
    file: "register_member.ts",
    edits: [["        else this.#greetUnknown(from);\n", ""]],
    seedsMax: 1,
    test: "tests/regression/voter_behind_a_change_test.ts",
  },
  {
    name: "register: an old copy of a folder counts as the folder",
    file: "known_starts.ts",
    edits: [["if (start > known.start && writes > known.writes) return", "if (start >= 0) return"]],
    seedsMax: 400,
  },
  {
    name: "register: nobody is asked before a new generation",
    file: "candidacy.ts",
    edits: [["    if (!answer.lost) return;\n", ""]],
    seedsMax: 40,
  },
  {
    name: "register: a document is told before a majority has it",
    file: "active.ts",
    edits: [["isQuorum(proposed.document.set, acceptedBy)", "acceptedBy.size > 0"]],
    seedsMax: 20,
  },
  {
    name: "register: a start holds nothing back",
    file: "hold.ts",
    edits: [["afterStart ? nowMs + COORDINATOR_PROMISE_BAR_MS : -Infinity", "-Infinity"]],
    seedsMax: 100,
  },
  {
    name: "register: the newest document of the others is not read",
    file: "candidacy.ts",
    edits: [["      this.#newest = newest;\n", ""]],
    seedsMax: 100,
  },
  {
    name: "register: one begins without its right",
    file: "active.ts",
    edits: [[
      "chosen === undefined || !this.#right.isValid(now)) return;",
      "chosen === undefined) return;",
    ]],
    seedsMax: 1000,
  },
  {
    name: "register: a right is measured by one clock",
    file: "right.ts",
    edits: [[
      "now.monotonicMs < monotonicMs + COORDINATOR_HOLD_MS &&\n      now.wallMs < wallMs + COORDINATOR_HOLD_MS",
      "now.monotonicMs < monotonicMs + COORDINATOR_HOLD_MS",
    ]],
    seedsMax: 20,
  },
  {
    name: "register: clocks are taken to run at one rate",
    file: "hold.ts",
    edits: [[
      "this.#untilMs = nowMs + COORDINATOR_PROMISE_BAR_MS",
      "this.#untilMs = nowMs + 1_430",
    ]],
    seedsMax: 1000,
  },
  {
    name: "register: two attempts of one number are one",
    file: "generation.ts",
    edits: [[
      "return a.number - b.number || Number(a.run > b.run) - Number(a.run < b.run);",
      "return a.number - b.number;",
    ]],
    seedsMax: 100,
  },
  {
    name: "register: an accepted document holds nothing back",
    file: "acceptor.ts",
    edits: [[
      'this.hold.confirm(stamp.generation, nowMs);\n    return { type: "accepted"',
      'return { type: "accepted"',
    ]],
    seedsMax: 400,
  },
  {
    name: "register: who is refused goes on",
    file: "register_member.ts",
    edits: [[
      "compareGenerations(highest, active.generation) <= 0) return;",
      "highest !== undefined) return;",
    ]],
    // Nothing that it does counts, since others refuse it as well; but while it asks nobody else becomes active.
    seedsMax: 100,
  },
];

/** Of the register in etcd: its storms are a test. */
const ETCD_BUGS: readonly (readonly [name: string, from: string, to: string, test?: string])[] = [
  [
    "its right counts from the answer",
    "held.confirmed = sent;",
    "held.confirmed = this.#now();",
    "etcd_register_test.ts",
  ],
  ["clocks are taken to run at one rate", "lastsMs / (1 + CLOCK_DRIFT_MAX)", "lastsMs"],
  [
    "its right is measured by one clock",
    " && wallMs < confirmed.wallMs + rightMs",
    "",
  ],
  [
    "a change does not ask who holds it",
    '[isMine, modifiedAt(this.#key("head"), held.headModified)]',
    '[modifiedAt(this.#key("head"), held.headModified)]',
  ],
  [
    "a late change counts again",
    '[isMine, modifiedAt(this.#key("head"), held.headModified)]',
    "[isMine]",
  ],
  [
    "who comes late holds it as well",
    "[createdAt(key, 0)],\n      [put(key, JSON.stringify(hold)",
    "[],\n      [put(key, JSON.stringify(hold)",
  ],
  ["documents are not deleted", "        deleteRange(documents, folder),\n", ""],
];

/** All of them. */
export const REGISTER_MUTATIONS: readonly Mutation[] = [
  ...BUGS.map((bug): Mutation => ({
    ...bug,
    file: `${FOLDER}/${bug.file}`,
    ...(bug.test === undefined ? { storm: "register" } : {}),
  })),
  ...ETCD_BUGS.map(([name, from, to, test = "etcd_register_random_test.ts"]): Mutation => ({
    name: `register in etcd: ${name}`,
    file: `${FOLDER}/etcd/etcd_register.ts`,
    edits: [[from, to]],
    seedsMax: 1,
    test: `tests/unit/${FOLDER}/etcd/${test}`,
  })),
];
