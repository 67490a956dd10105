/**
 * A database of Deno KV in this store: its name, and which keys it has. All its keys have the same `{tag}`, so they are in
 * one partition, whatever they are; and they have the order of their bytes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { KvError } from "../base/errors.ts";
import { bytesOfKey, keyOfBytes } from "../base/key_text.ts";

/** Characters of a database's name. */
const NAME_CHARACTERS_MAX = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** The keys of one database. */
export class KvDatabase {
  readonly name: string;
  /** What all keys begin with; itself a key of the same partition. */
  readonly prefix: string;

  /** @throws {KvError} `bad_request` for a text that no database is named by */
  constructor(name: string) {
    if (!NAME.test(name) || name.length > NAME_CHARACTERS_MAX) {
      throw new KvError(
        "bad_request",
        `a database's name has 1 to ${NAME_CHARACTERS_MAX} letters, digits, "_", "-" and ".", and begins with a letter or digit`,
      );
    }
    this.name = name;
    this.prefix = `denokv/{${name}}/`;
  }

  /** The store's key for a key's bytes. */
  keyOf(bytes: Uint8Array): string {
    return this.prefix + keyOfBytes(bytes);
  }

  /** The bytes of a key of this database. */
  bytesOf(key: string): Uint8Array {
    return bytesOfKey(key.slice(this.prefix.length));
  }

  /** A UUID that no other database has, in no cluster. */
  id(clusterId: string): string {
    const hex = createHash("sha256").update(`deno-kv\0${clusterId}\0${this.name}`).digest("hex");
    const parts = [
      hex.slice(0, 8),
      hex.slice(8, 12),
      `8${hex.slice(13, 16)}`,
      `8${hex.slice(17, 20)}`,
      hex.slice(20, 32),
    ];
    return parts.join("-");
  }
}
