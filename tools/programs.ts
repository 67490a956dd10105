/**
 * The three programs: their main modules, and the permissions that they start with. `deno task build`,
 * `deno task up` and the tests use this list; the tasks of deno.json repeat it.
 *
 * @module
 */

/** One of the programs. */
export interface ProgramSpec {
  readonly name: "kv-coordinator" | "kv-node" | "kv-client";
  /** Its main module, from the project's root. */
  readonly entry: string;
  /** Flags for `deno run` and `deno compile`. */
  readonly permissions: readonly string[];
  /** Whether it loads the native addon of `classic-level`. */
  readonly hasAddon: boolean;
}

/** Read by the loader of the native addon. */
const ADDON_ENV = "PREBUILDS_ONLY,ELECTRON_RUN_AS_NODE,LIBC,ARM_VERSION,npm_config_*";

/** One path and not all of them: servers narrow it to their own files (`shared/program/deno_permissions.ts`). */
const FILES: readonly string[] = ["--allow-read=/", "--allow-write=/"];

/** Discovery asks on each network of the machine. */
const NETWORKS = "--allow-sys=networkInterfaces";

/** For a program that loads no addon. */
function plain(environment: string): readonly string[] {
  return ["--allow-net", ...FILES, `--allow-env=${environment}`, NETWORKS];
}

export const COORDINATOR: ProgramSpec = {
  name: "kv-coordinator",
  entry: "coordinator/main.ts",
  permissions: plain("KV_*"),
  hasAddon: false,
};

export const NODE: ProgramSpec = {
  name: "kv-node",
  entry: "node/main.ts",
  permissions: [
    "--allow-net",
    ...FILES,
    // For the addon, whose place depends on how the program was made. It is given up when it is loaded.
    "--allow-ffi=/",
    `--allow-env=KV_*,${ADDON_ENV}`,
    // For the networks of discovery, and for the mask of the modes of new files, which has no permission of its own.
    "--allow-sys",
  ],
  hasAddon: true,
};

export const CLIENT: ProgramSpec = {
  name: "kv-client",
  entry: "client/main.ts",
  // Where `login` keeps what it was given.
  permissions: plain("KV_*,HOME,XDG_CONFIG_HOME"),
  hasAddon: false,
};

export const PROGRAMS: readonly ProgramSpec[] = [COORDINATOR, NODE, CLIENT];
