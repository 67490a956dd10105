/**
 * A document store in memory. It returns copies, as a file would. A test may make its writes fail, or hold them
 * until it lets them end.
 *
 * @module
 */
import type { DocumentStore } from "../../../shared/platform/document_store.ts";
import { KvError } from "../../../shared/base/errors.ts";

/** One JSON document in memory. */
export class MemoryDocumentStore implements DocumentStore {
  /** JSON of the document; undefined if none was written. */
  text: string | undefined;
  /** Set: writes fail with it. */
  failure: KvError | undefined;
  /** How many writes have ended well. */
  writes = 0;
  #held = false;
  #waiting: (() => void)[] = [];

  constructor(document?: unknown) {
    if (document !== undefined) this.text = JSON.stringify(document);
  }

  read(): Promise<unknown | undefined> {
    return Promise.resolve(this.text === undefined ? undefined : JSON.parse(this.text));
  }

  async write(document: unknown): Promise<void> {
    const text = JSON.stringify(document);
    if (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.failure !== undefined) throw this.failure;
    this.text = text;
    this.writes++;
  }

  /** How many writes wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Writes wait from now on. */
  hold(): void {
    this.#held = true;
  }

  /** Lets those that wait end, and later ones pass. */
  release(): void {
    this.#held = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
