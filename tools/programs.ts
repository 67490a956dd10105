/**
 * The three programs: their main modules, and the permissions that they start with. `deno task build`,
 * `deno task up` and the tests use this list; the tasks of deno.json repeat it.
 *
 * @module
 */
import { WORKER_PERMISSIONS } from "../node/workers/worker_permissions.ts";

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
  // With --workers it starts itself again; without, it gives that up before anything else.
  permissions: [...WORKER_PERMISSIONS, "--allow-run"],
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
