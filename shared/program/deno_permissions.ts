/**
 * Least privilege: what a server no longer needs once it has started, it gives up, so that a mistake of ours, or of
 * a package, reaches no file but the process's own.
 *
 * Which files these are is known only when the settings have been read. So the programs are started with
 * `--allow-read=/ --allow-write=/`, which is a grant for one path. Asking for a path inside of it grants that path
 * too; then the grant for `/` is revoked, and the paths that were asked for stay. (A grant without any path,
 * `--allow-read`, cannot be narrowed: if it is revoked, all others go with it.) The native code of the database is
 * not bound by this.
 *
 * @module
 */
import type { Logger } from "../platform/logger.ts";

/** What a program needs from now on. A folder stands for all that is in it; what may be written may be read. */
export interface Needed {
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Whether it starts other programs. Default: no. */
  readonly run?: boolean;
}

/** Opened to count free descriptors (`deno_descriptors.ts`). */
const NOTHING = "/dev/null";

/**
 * Gives up all permissions but these, the network, and facts of the system. If all files were granted in the way that
 * cannot be narrowed, as by `--allow-all`, that stays, and is logged.
 */
export function keepOnly({ read, write, run = false }: Needed, log: Logger): void {
  const needed = { read: [...read, ...write, NOTHING], write };
  for (const name of ["read", "write"] as const) {
    for (const path of needed[name]) Deno.permissions.requestSync({ name, path });
    Deno.permissions.revokeSync({ name, path: "/" });
  }
  for (const name of ["ffi", "env"] as const) Deno.permissions.revokeSync({ name });
  if (!run) Deno.permissions.revokeSync({ name: "run" });
  const all = (["read", "write"] as const).filter((name) =>
    Deno.permissions.querySync({ name, path: "/" }).state === "granted"
  );
  if (all.length === 0) return;
  log.warn("may read or write all files: start it with --allow-read=/ --allow-write=/ instead", {
    all,
  });
}
