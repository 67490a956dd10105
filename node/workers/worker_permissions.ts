/**
 * What a node that has no workers may do when it starts; it gives most of that up as soon as it serves
 * (`shared/program/deno_permissions.ts`). A supervisor may start programs besides.
 *
 * @module
 */

/** Flags for `deno run`. */
export const WORKER_PERMISSIONS: readonly string[] = [
  "--allow-net",
  // One path and not all of them: this grant can be narrowed.
  "--allow-read=/",
  "--allow-write=/",
  // For the addon of the database, whose place depends on how the program was made.
  "--allow-ffi=/",
  // Its loader reads the others.
  "--allow-env=KV_*,PREBUILDS_ONLY,ELECTRON_RUN_AS_NODE,LIBC,ARM_VERSION,npm_config_*",
  // For the networks of discovery, and for the mask of the modes of new files, which has no permission of its own.
  "--allow-sys",
];
