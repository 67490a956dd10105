/**
 * A small JSON document that is replaced whole and is on disk before the call comes back: the
 * coordinator's cluster map, a node's identity. The file version is `deno/file_document_store.ts`.
 *
 * @module
 */

/** A place for one JSON document. */
export interface DocumentStore {
  /**
   * The document, or undefined if none was ever written.
   * @throws {KvError} `corrupt` if there is one that cannot be read as JSON.
   */
  read(): Promise<unknown | undefined>;
  /**
   * Replaces the document, atomically and durably. Calls must not overlap.
   * @throws {KvError} `storage_failed`
   */
  write(document: unknown): Promise<void>;
}
