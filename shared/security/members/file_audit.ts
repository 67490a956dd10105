/**
 * The file of the audit log. Lines are gathered for a moment and appended together, so that a flood of refusals does not
 * hold up requests; at the end of the process what is left is written. At a certain size a new file is begun, and a few old
 * ones are kept: `audit.log.1` is the newest of them.
 *
 * If the file cannot be written, requests go on: who fills a disk must not be able to switch a store off. The process's own
 * log says so, once; lines are kept as long as there is room for them, and how many were lost stands in the file as soon as
 * it can be written.
 *
 * Invariants: memory and disk are bounded; a line is whole or not there; nobody is told that all is well while lines are lost.
 *
 * @module
 */
import { KvError, messageOf } from "../../base/errors.ts";
import {
  AUDIT_FILE_BYTES_MAX,
  AUDIT_FILES_KEPT,
  AUDIT_FLUSH_MS,
  AUDIT_WAITING_CHARACTERS_MAX,
} from "../../limits/security.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";

/** What it is given. */
export interface AuditFileDeps {
  readonly clock: Pick<Clock, "wallMs" | "setTimer">;
  readonly log: Logger;
}

/** One for a process. */
export class AuditFile {
  readonly #path: string;
  readonly #deps: AuditFileDeps;
  readonly #fileBytesMax: number;
  #lines: string[] = [];
  #characters = 0;
  #lost = 0;
  /** Why the last attempt to write failed, if it did. */
  #failure: string | undefined;
  #timer: Timer | undefined;

  constructor(path: string, deps: AuditFileDeps, fileBytesMax = AUDIT_FILE_BYTES_MAX) {
    this.#path = path;
    this.#deps = deps;
    this.#fileBytesMax = fileBytesMax;
  }

  /** Why it cannot be written, as of the last attempt; undefined if it can. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** @param line with its end */
  add(line: string): void {
    if (this.#characters + line.length > AUDIT_WAITING_CHARACTERS_MAX) {
      // While it can be written there is room again at once.
      if (this.#failure === undefined) this.flushQuietly();
      if (this.#characters + line.length > AUDIT_WAITING_CHARACTERS_MAX) {
        this.#lost++;
        return;
      }
    }
    this.#lines.push(line);
    this.#characters += line.length;
    this.#timer ??= this.#deps.clock.setTimer(AUDIT_FLUSH_MS, () => {
      this.#timer = undefined;
      this.flushQuietly();
    });
  }

  /** Writes what waits. @throws {KvError} `storage_failed` */
  flush(): void {
    if (this.#lines.length === 0) return;
    const lost = this.#lost === 0 ? "" : JSON.stringify({
      time: new Date(this.#deps.clock.wallMs()).toISOString(),
      event: "lost",
      lines: this.#lost,
    }) + "\n";
    // What was written when it failed may have ended within a line.
    const text = (this.#failure === undefined ? "" : "\n") + lost + this.#lines.join("");
    try {
      this.#rotate(text.length);
      Deno.writeTextFileSync(this.#path, text, { append: true, mode: 0o600 });
    } catch (error) {
      throw new KvError("storage_failed", `${this.#path} cannot be written: ${messageOf(error)}`);
    }
    this.#lines = [];
    this.#characters = 0;
    this.#lost = 0;
  }

  /** As {@linkcode flush}, for when nobody could be told but the process's log. */
  flushQuietly(): void {
    const { log } = this.#deps;
    const lost = this.#lost;
    try {
      this.flush();
      if (this.#failure !== undefined) log.info("the audit log is written again", { lost });
      this.#failure = undefined;
    } catch (error) {
      const message = messageOf(error);
      if (this.#failure === undefined) {
        log.error("the audit log cannot be written; requests go on without it", { error: message });
      }
      this.#failure = message;
    }
  }

  #rotate(bytes: number): void {
    if (sizeOf(this.#path) + bytes <= this.#fileBytesMax) return;
    for (let n = AUDIT_FILES_KEPT - 1; n >= 1; n--) {
      renameIfThere(`${this.#path}.${n}`, `${this.#path}.${n + 1}`);
    }
    renameIfThere(this.#path, `${this.#path}.1`);
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
