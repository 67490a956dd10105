/**
 * All seeded bugs that the storms of the simulation, or a test that is named, must find. They check the checkers: a run
 * with one of them in place must fail within its number of seeds. Those of the coordinators' register are in
 * `register_mutations.ts`: they have storms of their own.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";
import { DATABASE_MUTATIONS } from "./database_mutations.ts";
import { MEMBERSHIP_MUTATIONS } from "./membership_mutations.ts";
import { REPLICATION_MUTATIONS } from "./replication_mutations.ts";
import { REQUEST_MUTATIONS } from "./request_mutations.ts";
import { SECURITY_MUTATIONS } from "./security_mutations.ts";
import { STORAGE_MUTATIONS } from "./storage_mutations.ts";
import { TRANSACTION_MUTATIONS } from "./transaction_mutations.ts";
import { WATCH_MUTATIONS } from "./watch_mutations.ts";
import { WORKER_MUTATIONS } from "./worker_mutations.ts";

export type { Mutation };

/** Subject by subject. */
export const MUTATIONS: readonly Mutation[] = [
  ...REPLICATION_MUTATIONS,
  ...REQUEST_MUTATIONS,
  ...TRANSACTION_MUTATIONS,
  ...STORAGE_MUTATIONS,
  ...MEMBERSHIP_MUTATIONS,
  ...SECURITY_MUTATIONS,
  ...WATCH_MUTATIONS,
  ...DATABASE_MUTATIONS,
  ...WORKER_MUTATIONS,
];
