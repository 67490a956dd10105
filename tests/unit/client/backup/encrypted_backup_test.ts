import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { ByteSource } from "../../../../client/backup/backup_reader.ts";
import {
  EncryptedWriter,
  isEncrypted,
  openEncrypted,
} from "../../../../client/backup/encrypted_backup.ts";
import {
  type BackupSecret,
  checkPassphrase,
  CIPHER_CHUNK_BYTES,
  CIPHER_HEAD_BYTES,
  parseKey,
} from "../../../../client/backup/encryption_format.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { BACKUP_CIPHER_CHUNK_BYTES as CHUNK } from "../../../../shared/limits/backup.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";

/** At a cost that tests can bear. */
const LOG_N = 10;
const PASSPHRASE: BackupSecret = { kind: "passphrase", text: new Secret("correct horse battery") };
const KEY: BackupSecret = { kind: "key", bytes: new Uint8Array(32).fill(7) };

function source(bytes: Uint8Array): ByteSource {
  return {
    bytes: bytes.length,
    read: (at, length) => Promise.resolve(bytes.slice(at, at + length)),
  };
}

function sample(length: number): Uint8Array {
  const random = new SeededRandom(length);
  return Uint8Array.from({ length }, () => random.uint32() & 0xff);
}

/** A file, written in pieces. */
async function encrypted(
  text: Uint8Array,
  secret: BackupSecret = KEY,
  piece = text.length,
  seed = 1,
): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const write = (bytes: Uint8Array) => Promise.resolve(void pieces.push(new Uint8Array(bytes)));
  const writer = await EncryptedWriter.begin(write, secret, new SeededRandom(seed), LOG_N);
  for (let at = 0; at < text.length; at += piece) {
    await writer.write(text.subarray(at, at + piece));
  }
  await writer.end();
  return await new Blob(pieces).bytes();
}

/** Reads all of it, in pieces. */
async function decrypted(
  file: Uint8Array,
  secret: BackupSecret = KEY,
  piece = 100_000,
): Promise<Uint8Array> {
  const plain = await openEncrypted(source(file), secret);
  const text = new Uint8Array(plain.bytes);
  for (let at = 0; at < text.length; at += piece) text.set(await plain.read(at, piece), at);
  return text;
}

const code = async (file: Uint8Array, secret?: BackupSecret) =>
  (await assertRejects(() => decrypted(file, secret), KvError)).code;

Deno.test("EncryptedWriter and openEncrypted: what was written, of any length, in any pieces", async () => {
  for (const length of [1, 9, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 12_345]) {
    const text = sample(length);
    for (const piece of [length, 10_007]) {
      const file = await encrypted(text, KEY, piece);
      const chunks = Math.ceil(length / CHUNK);
      assertEquals(file.length, CIPHER_HEAD_BYTES + length + 16 * chunks);
      assert(await isEncrypted(source(file)));
      assertEquals(await decrypted(file, KEY, piece), text, `${length} by ${piece}`);
    }
  }
  const text = sample(3 * CHUNK);
  const plain = await openEncrypted(source(await encrypted(text)), KEY);
  for (const [at, length] of [[CHUNK - 3, 6], [0, 1], [2 * CHUNK, CHUNK], [3 * CHUNK - 2, 50]]) {
    assertEquals(await plain.read(at ?? 0, length ?? 0), text.slice(at, (at ?? 0) + (length ?? 0)));
  }
  assertEquals(await plain.read(3 * CHUNK, 10), new Uint8Array());
  assertEquals(await isEncrypted(source(sample(500))), false);
  assertEquals(await isEncrypted(source(sample(3))), false);
});

Deno.test("openEncrypted: a changed byte is refused, wherever it is, and so is every cut", async () => {
  const file = await encrypted(sample(40), PASSPHRASE);
  for (let at = 0; at < file.length; at++) {
    const changed = file.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    // The kind of secret, and a greater cost: what is wrong is said, and nothing is read.
    const found = await code(changed, PASSPHRASE);
    const inHead = at < CIPHER_HEAD_BYTES;
    const wanted = inHead
      ? ["unauthorized", "wrong_version", "bad_request", "corrupt"]
      : ["corrupt"];
    assert(wanted.includes(found), `byte ${at}: ${found}`);
    assert(["corrupt"].includes(await code(file.slice(0, at), PASSPHRASE)), `cut at ${at}`);
  }
  assertEquals(await code(new Uint8Array([...file, 0]), PASSPHRASE), "corrupt");
});

Deno.test("openEncrypted: chunks that are missing, moved, doubled or of another file are refused", async () => {
  const text = sample(3 * CHUNK + 100);
  const file = await encrypted(text);
  const other = await encrypted(text, KEY, text.length, 2);
  assert(other.length === file.length && other.some((byte, i) => byte !== file[i]));
  const head = file.slice(0, CIPHER_HEAD_BYTES);
  const chunk = (of: Uint8Array, number: number) =>
    of.slice(
      CIPHER_HEAD_BYTES + number * CIPHER_CHUNK_BYTES,
      CIPHER_HEAD_BYTES + (number + 1) * CIPHER_CHUNK_BYTES,
    );
  const [a, b, c, last] = [0, 1, 2, 3].map((number) => chunk(file, number));
  const made = (...pieces: (Uint8Array | undefined)[]) =>
    new Blob([head, ...pieces].map((piece) => new Uint8Array(piece ?? []))).bytes();
  assertEquals(await decrypted(await made(a, b, c, last)), text);
  const wrong = [
    [b, a, c, last],
    [a, b, c],
    [a, b],
    [a],
    [],
    [a, b, last],
    [a, b, b, c, last],
    [a, b, c, last, last],
    [b, c, last],
    [a, chunk(other, 1), c, last],
    [a, b, c, chunk(other, 3)],
  ];
  for (const [i, pieces] of wrong.entries()) {
    assertEquals(await code(await made(...pieces)), "corrupt", `case ${i}`);
  }
});

Deno.test("openEncrypted: what was not asked for is not read, and what is before a damage is", async () => {
  const text = sample(3 * CHUNK);
  const file = await encrypted(text);
  file[CIPHER_HEAD_BYTES + CIPHER_CHUNK_BYTES + 5] = 0;
  file[CIPHER_HEAD_BYTES + CIPHER_CHUNK_BYTES + 6] = 0;
  const plain = await openEncrypted(source(file), KEY);
  assertEquals(await plain.read(0, CHUNK), text.slice(0, CHUNK));
  await assertRejects(() => plain.read(CHUNK - 1, 2), KvError, "changed, damaged or cut off");
  assertEquals(await plain.read(2 * CHUNK, CHUNK), text.slice(2 * CHUNK));
});

Deno.test("openEncrypted: a wrong secret is told at once, and another kind of it", async () => {
  const byPassphrase = await encrypted(sample(10), PASSPHRASE);
  const byKey = await encrypted(sample(10), KEY);
  assertEquals(await decrypted(byPassphrase, PASSPHRASE), sample(10));
  const wrong: BackupSecret = { kind: "passphrase", text: new Secret("correct horse batterz") };
  assertEquals(await code(byPassphrase, wrong), "unauthorized");
  assertEquals(await code(byKey, { kind: "key", bytes: new Uint8Array(32) }), "unauthorized");
  assertEquals(await code(byKey, PASSPHRASE), "bad_request");
  assertEquals(await code(byPassphrase, KEY), "bad_request");
  // However a keyboard makes it.
  const composed: BackupSecret = {
    kind: "passphrase",
    text: new Secret("p\u00e4ssphrase of mine"),
  };
  const parts: BackupSecret = { kind: "passphrase", text: new Secret("pa\u0308ssphrase of mine") };
  assertEquals(await decrypted(await encrypted(sample(10), composed), parts), sample(10));
});

Deno.test("checkPassphrase and parseKey: refuse what is too weak or no key", () => {
  checkPassphrase("twelve chars");
  assertThrows(() => checkPassphrase("eleven char"), KvError, "12 characters");
  const bytes = sample(32);
  assertEquals(parseKey(`${bytes.toHex()}\n`), bytes);
  assertEquals(parseKey(bytes.toBase64()), bytes);
  assertEquals(parseKey(bytes.toBase64({ omitPadding: true })), bytes);
  for (const text of ["", "secret", bytes.toHex().slice(1), sample(31).toBase64()]) {
    assertThrows(() => parseKey(text), KvError, "32 random bytes");
  }
});
