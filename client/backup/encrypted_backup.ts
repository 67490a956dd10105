/**
 * A backup file that is encrypted on its way: {@linkcode EncryptedWriter} is written to as the file itself would be, and
 * {@linkcode openEncrypted} gives a file to read from as if it were not encrypted. Memory holds a chunk or two.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import {
  BACKUP_CIPHER_CHUNK_BYTES,
  BACKUP_SALT_BYTES,
  BACKUP_SCRYPT_LOG_N,
} from "../../shared/limits/backup.ts";
import type { Random } from "../../shared/platform/random.ts";
import type { ByteSource } from "./backup_reader.ts";
import {
  type BackupSecret,
  ChunkCipher,
  CIPHER_CHUNK_BYTES,
  CIPHER_HEAD_BYTES,
  CIPHER_MAGIC,
  refused,
} from "./encryption_format.ts";

/** Encrypts what is written. Calls must not overlap. */
export class EncryptedWriter {
  readonly #cipher: ChunkCipher;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  /** What has not made a chunk yet. A whole one waits too: only the end tells whether it is the last. */
  readonly #buffer = new Uint8Array(BACKUP_CIPHER_CHUNK_BYTES);
  #length = 0;
  #number = 0;
  #isBusy = false;

  private constructor(cipher: ChunkCipher, write: (bytes: Uint8Array) => Promise<void>) {
    this.#cipher = cipher;
    this.#write = write;
  }

  /**
   * @param random must be cryptographic: the file's key is its own by it
   * @param logN log2 of the cost of a passphrase
   */
  static async begin(
    write: (bytes: Uint8Array) => Promise<void>,
    secret: BackupSecret,
    random: Random,
    logN = BACKUP_SCRYPT_LOG_N,
  ): Promise<EncryptedWriter> {
    const salt = Uint8Array.from({ length: BACKUP_SALT_BYTES }, () => random.uint32() & 0xff);
    const { cipher, head } = await ChunkCipher.create(secret, salt, logN);
    await write(head);
    return new EncryptedWriter(cipher, write);
  }

  async write(bytes: Uint8Array): Promise<void> {
    invariant(!this.#isBusy, "writes of an encrypted backup overlap");
    this.#isBusy = true;
    for (let at = 0; at < bytes.length;) {
      if (this.#length === this.#buffer.length) await this.#flush(false);
      const taken = bytes.subarray(at, at + this.#buffer.length - this.#length);
      this.#buffer.set(taken, this.#length);
      this.#length += taken.length;
      at += taken.length;
    }
    this.#isBusy = false;
  }

  /** Without it the file has no end, and is refused. */
  async end(): Promise<void> {
    await this.#flush(true);
  }

  async #flush(isLast: boolean): Promise<void> {
    const text = this.#buffer.subarray(0, this.#length);
    await this.#write(await this.#cipher.encrypt(text, this.#number++, isLast));
    this.#length = 0;
  }
}

/** Whether a file is an encrypted backup. */
export async function isEncrypted(file: ByteSource): Promise<boolean> {
  const magic = await file.read(0, CIPHER_MAGIC.length);
  return magic.length === CIPHER_MAGIC.length &&
    magic.every((byte, i) => byte === CIPHER_MAGIC[i]);
}

/**
 * The backup that is in an encrypted file. Each read gives only what was found to be as it was written.
 *
 * @throws {KvError} `unauthorized` if the secret is wrong; `corrupt`, `wrong_version`, `bad_request`
 */
export async function openEncrypted(file: ByteSource, secret: BackupSecret): Promise<ByteSource> {
  const cipher = await ChunkCipher.open(secret, await file.read(0, CIPHER_HEAD_BYTES));
  const decrypted = new DecryptedFile(file, cipher);
  // A file that is cut off is found at once.
  await decrypted.checkEnd();
  return decrypted;
}

class DecryptedFile implements ByteSource {
  readonly bytes: number;
  readonly #file: ByteSource;
  readonly #cipher: ChunkCipher;
  readonly #chunks: number;
  /** Reads go on where the one before has ended, mostly. */
  #last: { readonly number: number; readonly text: Uint8Array } | undefined;

  constructor(file: ByteSource, cipher: ChunkCipher) {
    this.#file = file;
    this.#cipher = cipher;
    const length = file.bytes - CIPHER_HEAD_BYTES;
    this.#chunks = Math.ceil(length / CIPHER_CHUNK_BYTES);
    this.bytes = length - this.#chunks * (CIPHER_CHUNK_BYTES - BACKUP_CIPHER_CHUNK_BYTES);
    if (this.#chunks === 0 || this.bytes < 0) throw refused("it is cut off");
  }

  /** @throws {KvError} `corrupt` if the file does not end as it was written */
  async checkEnd(): Promise<void> {
    await this.#chunk(this.#chunks - 1);
  }

  async read(at: number, length: number): Promise<Uint8Array> {
    const end = Math.min(at + length, this.bytes);
    const result = new Uint8Array(Math.max(0, end - at));
    for (let from = at; from < end;) {
      const number = Math.floor(from / BACKUP_CIPHER_CHUNK_BYTES);
      const text = await this.#chunk(number);
      const offset = from - number * BACKUP_CIPHER_CHUNK_BYTES;
      const piece = text.subarray(offset, offset + end - from);
      result.set(piece, from - at);
      from += piece.length;
    }
    return result;
  }

  async #chunk(number: number): Promise<Uint8Array> {
    if (this.#last?.number === number) return this.#last.text;
    const place = CIPHER_HEAD_BYTES + number * CIPHER_CHUNK_BYTES;
    const chunk = await this.#file.read(place, CIPHER_CHUNK_BYTES);
    const isLast = number === this.#chunks - 1;
    const text = await this.#cipher.decrypt(chunk, number, isLast);
    // Only the last one of several may be shorter, and it is not empty.
    if (text.length === 0 && number > 0) throw refused("an empty chunk");
    this.#last = { number, text };
    return text;
  }
}
