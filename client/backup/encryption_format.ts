/**
 * The bytes of an encrypted backup: a head that says how its key is made, then the backup in chunks of one size, each
 * encrypted and authenticated by itself (AES-256-GCM) with its number and whether it is the last, as STREAM does
 * (Hoang, Reyhanitabar, Rogaway and Vizár, 2015) and the age format after it. So any place can be read without what is before,
 * and what was changed, cut, moved, doubled or appended is refused. The format is docs/backup.md.
 *
 * Invariant: no two chunks are encrypted with one key and nonce: each file has a key of its own, by its random salt.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { scrypt } from "node:crypto";
import { KvError } from "../../shared/base/errors.ts";
import type { Secret } from "../../shared/base/secret.ts";
import {
  BACKUP_CIPHER_CHUNK_BYTES,
  BACKUP_KEY_BYTES,
  BACKUP_PASSPHRASE_CHARACTERS_MIN,
  BACKUP_SCRYPT_LOG_N_MAX,
} from "../../shared/limits/backup.ts";

/** How a file begins; as that of a plain backup, with another letter. */
export const CIPHER_MAGIC: Uint8Array = Uint8Array.of(
  0x89,
  0x4b,
  0x56,
  0x45,
  0x0d,
  0x0a,
  0x1a,
  0x0a,
);
/** The layout that this code writes, and the only one that it reads. */
const CIPHER_FORMAT = 1;
const KIND = { passphrase: 1, key: 2 } as const;
const SALT_BYTES = 32;
const MAC_BYTES = 32;
const TAG_BYTES = 16;
/** Magic, format (1), kind of secret (1), log2 of scrypt's N (1; 0 for a key), salt. */
const PLAIN_HEAD_BYTES = CIPHER_MAGIC.length + 3 + SALT_BYTES;
/** With the code that only the right secret makes. */
export const CIPHER_HEAD_BYTES = PLAIN_HEAD_BYTES + MAC_BYTES;
/** A chunk as it is in the file. */
export const CIPHER_CHUNK_BYTES = BACKUP_CIPHER_CHUNK_BYTES + TAG_BYTES;

/** What a backup is encrypted by. */
export type BackupSecret =
  | { readonly kind: "passphrase"; readonly text: Secret }
  /** {@linkcode BACKUP_KEY_BYTES} random bytes. */
  | { readonly kind: "key"; readonly bytes: Uint8Array };

const encoder = new TextEncoder();

/** @throws {KvError} `bad_request` for a passphrase that is too short to withstand guesses */
export function checkPassphrase(text: string): void {
  if (text.length >= BACKUP_PASSPHRASE_CHARACTERS_MIN) return;
  throw new KvError(
    "bad_request",
    `a passphrase needs ${BACKUP_PASSPHRASE_CHARACTERS_MIN} characters, since whoever has the file can try ` +
      "guesses for as long as they want",
  );
}

/** A key as its file has it: 32 bytes in base64 or hexadecimal. @throws {KvError} `bad_request` */
export function parseKey(text: string): Uint8Array {
  const line = text.trim();
  if (/^[0-9a-f]{64}$/i.test(line)) return new Uint8Array(Buffer.from(line, "hex"));
  if (/^[A-Za-z0-9+/]{43}=?$/.test(line)) {
    return new Uint8Array(Buffer.from(line, "base64"));
  }
  throw new KvError(
    "bad_request",
    "a key file has 32 random bytes in base64 or hexadecimal on its first line, as openssl rand -base64 32 " +
      "writes them",
  );
}

/** Encrypts and decrypts the chunks of one file. */
export class ChunkCipher {
  readonly #key: CryptoKey;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  /** For a new file. @returns it, and the head of the file */
  static async create(
    secret: BackupSecret,
    salt: Uint8Array,
    logN: number,
  ): Promise<{ cipher: ChunkCipher; head: Uint8Array }> {
    const head = new Uint8Array(CIPHER_HEAD_BYTES);
    head.set(CIPHER_MAGIC);
    const cost = secret.kind === "key" ? 0 : logN;
    head.set([CIPHER_FORMAT, KIND[secret.kind], cost], CIPHER_MAGIC.length);
    head.set(salt, CIPHER_MAGIC.length + 3);
    const { key, mac } = await keysOf(secret, head.subarray(0, PLAIN_HEAD_BYTES));
    const code = await crypto.subtle.sign("HMAC", mac, plainHead(head));
    head.set(new Uint8Array(code), PLAIN_HEAD_BYTES);
    return { cipher: new ChunkCipher(key), head };
  }

  /**
   * For a file that is read.
   *
   * @throws {KvError} `unauthorized` if the secret is wrong; `wrong_version`, `corrupt`
   */
  static async open(secret: BackupSecret, head: Uint8Array): Promise<ChunkCipher> {
    const [format, kind, logN = 0] = head.subarray(CIPHER_MAGIC.length);
    if (head.length < CIPHER_HEAD_BYTES) throw refused("it is cut off");
    if (format !== CIPHER_FORMAT) {
      throw new KvError(
        "wrong_version",
        `the encrypted backup has format ${format}, this program reads ${CIPHER_FORMAT}; use the version of ` +
          "kv-client that wrote it",
      );
    }
    if (kind !== KIND.passphrase && kind !== KIND.key) throw refused("its head is not valid");
    if (kind !== KIND[secret.kind]) {
      throw new KvError(
        "bad_request",
        kind === KIND.key
          ? "the backup was encrypted by a key file; give it with --key-file FILE"
          : "the backup was encrypted by a passphrase; give it with --passphrase-file FILE, or type it",
      );
    }
    // Not authenticated before the key is made, so it must not decide how much memory that takes.
    if (logN > BACKUP_SCRYPT_LOG_N_MAX) throw refused("its head is not valid");
    const { key, mac } = await keysOf(secret, head.subarray(0, PLAIN_HEAD_BYTES));
    const code = new Uint8Array(head.subarray(PLAIN_HEAD_BYTES, CIPHER_HEAD_BYTES));
    if (!await crypto.subtle.verify("HMAC", mac, code, plainHead(head))) {
      const what = secret.kind === "key" ? "key" : "passphrase";
      throw new KvError(
        "unauthorized",
        `the ${what} is wrong, or the first bytes of the backup were changed; nothing was written`,
      );
    }
    return new ChunkCipher(key);
  }

  async encrypt(text: Uint8Array, number: number, isLast: boolean): Promise<Uint8Array> {
    const algorithm = { name: "AES-GCM", iv: nonceOf(number, isLast) };
    return new Uint8Array(await crypto.subtle.encrypt(algorithm, this.#key, new Uint8Array(text)));
  }

  /** @throws {KvError} `corrupt` if it is not this chunk of this file */
  async decrypt(chunk: Uint8Array, number: number, isLast: boolean): Promise<Uint8Array> {
    const algorithm = { name: "AES-GCM", iv: nonceOf(number, isLast) };
    try {
      const text = await crypto.subtle.decrypt(algorithm, this.#key, new Uint8Array(chunk));
      return new Uint8Array(text);
    } catch (cause) {
      throw refused(`bytes from ${CIPHER_HEAD_BYTES + number * CIPHER_CHUNK_BYTES} on`, cause);
    }
  }
}

/** The error for a file that is not as it was written. */
export function refused(what: string, cause?: unknown): KvError {
  return new KvError(
    "corrupt",
    `the encrypted backup was changed, damaged or cut off (${what}); nothing of this piece is used; take another ` +
      "copy of the file",
    { cause },
  );
}

/** The chunk's number in 11 bytes, and 1 for the last one. */
function nonceOf(number: number, isLast: boolean): Uint8Array<ArrayBuffer> {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(3, BigInt(number));
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

function plainHead(head: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(head.subarray(0, PLAIN_HEAD_BYTES));
}

/** The keys of a file: one for its chunks, one for its head. All of the head goes into both. */
async function keysOf(
  secret: BackupSecret,
  head: Uint8Array,
): Promise<{ key: CryptoKey; mac: CryptoKey }> {
  const salt = new Uint8Array(head.subarray(-SALT_BYTES));
  const logN = head[CIPHER_MAGIC.length + 2] ?? 0;
  const bytes = secret.kind === "key"
    ? secret.bytes
    : await stretch(secret.text.reveal(), salt, logN);
  const base = await crypto.subtle.importKey("raw", new Uint8Array(bytes), "HKDF", false, [
    "deriveKey",
  ]);
  const by = (info: string) => ({
    name: "HKDF",
    hash: "SHA-256",
    salt,
    info: new Uint8Array([...encoder.encode(info), ...head]),
  });
  const aes = { name: "AES-GCM", length: 256 };
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 };
  return {
    key: await crypto.subtle.deriveKey(by("kv backup chunks"), base, aes, false, [
      "encrypt",
      "decrypt",
    ]),
    mac: await crypto.subtle.deriveKey(by("kv backup head"), base, hmac, false, [
      "sign",
      "verify",
    ]),
  };
}

/** RFC 7914 with r = 8 and p = 1. Accents count however a keyboard makes them (NFC). */
function stretch(passphrase: string, salt: Uint8Array, logN: number): Promise<Uint8Array> {
  const [N, r, p] = [2 ** logN, 8, 1];
  // What it needs is 128 N r bytes, and a little.
  const options = { N, r, p, maxmem: 128 * N * r + 1_048_576 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFC"), salt, BACKUP_KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(new Uint8Array(key));
      else reject(error);
    });
  });
}
