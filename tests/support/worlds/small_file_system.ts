/**
 * A file system of a few MiB, for tests of what a node does when its disk is full. It needs root and the right to mount;
 * {@linkcode SMALL_FILE_SYSTEM} says whether both are there.
 *
 *     await using files = SmallFileSystem.make(64);
 *     files.path;                     // a folder
 *     await files.fill(100 * 1024);   // no more than so many bytes are left
 *     await files.makeRoom();
 *
 * @module
 */
import { KIB } from "../../../shared/base/units.ts";
import type { Need } from "../needs.ts";

const FILLER = "filler";

/** A file system in memory. */
export class SmallFileSystem implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @throws {Error} if this machine does not allow it */
  static make(mib: number): SmallFileSystem {
    const path = Deno.makeTempDirSync({ prefix: "kv-small-" });
    const args = ["-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs", path];
    const { success, stderr } = new Deno.Command("mount", { args }).outputSync();
    if (!success) {
      Deno.removeSync(path);
      throw new Error(new TextDecoder().decode(stderr));
    }
    return new SmallFileSystem(path);
  }

  /** Takes all space but about so many bytes. */
  async fill(bytesLeft: number): Promise<void> {
    const path = `${this.path}/${FILLER}`;
    const file = await Deno.open(path, { write: true, create: true });
    let size = 0;
    const piece = new Uint8Array(64 * KIB);
    try {
      for (;;) size += await file.write(piece);
    } catch (error) {
      if (!(error instanceof Error) || !/space/i.test(error.message)) throw error;
    } finally {
      await file.truncate(Math.max(0, size - bytesLeft));
      file.close();
    }
  }

  makeRoom(): Promise<void> {
    return Deno.remove(`${this.path}/${FILLER}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Deno.Command("umount", { args: ["-l", this.path] }).output();
    await Deno.remove(this.path);
  }
}

/** Whether one can be made. */
export const SMALL_FILE_SYSTEM: Need = { met: isAllowed(), otherwise: "no right to mount" };

function isAllowed(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  try {
    const { path } = SmallFileSystem.make(1);
    new Deno.Command("umount", { args: ["-l", path] }).outputSync();
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}
