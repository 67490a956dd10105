/**
 * Web Crypto with `digestSync` and MD5, as `@std/crypto/crypto` has it, over `node:crypto`. Not the
 * whole of the real package: only the digests below, and no adjustable length.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Names of the digests that this stand-in offers. */
export const DIGEST_ALGORITHM_NAMES = [
  "MD5",
  "SHA-1",
  "SHA-224",
  "SHA-256",
  "SHA-384",
  "SHA-512",
] as const;

/** One of {@linkcode DIGEST_ALGORITHM_NAMES}. */
export type DigestAlgorithmName = (typeof DIGEST_ALGORITHM_NAMES)[number];

/** A digest's name, as an object. */
export type DigestAlgorithmObject = { name: DigestAlgorithmName };

/** What {@linkcode StdSubtleCrypto.digest} takes; letter case does not matter. */
export type DigestAlgorithm = DigestAlgorithmName | DigestAlgorithmObject;

/** `SubtleCrypto` with more digests. */
export interface StdSubtleCrypto extends SubtleCrypto {
  /** The digest of a buffer, or of a sequence of buffers. */
  digest(
    algorithm: DigestAlgorithm,
    data: BufferSource | AsyncIterable<BufferSource> | Iterable<BufferSource>,
  ): Promise<ArrayBuffer>;
  /** The same, at once. */
  digestSync(
    algorithm: DigestAlgorithm,
    data: BufferSource | Iterable<BufferSource>,
  ): ArrayBuffer;
}

/** `Crypto` with more digests. */
export interface StdCrypto extends Crypto {
  readonly subtle: StdSubtleCrypto;
}

function newHash(algorithm: DigestAlgorithm) {
  const given = typeof algorithm === "string" ? algorithm : algorithm.name;
  const name = DIGEST_ALGORITHM_NAMES.find((known) => known === given.toUpperCase());
  if (name === undefined) throw new TypeError(`Cannot digest: unknown algorithm "${given}"`);
  return createHash(name.replace("-", "").toLowerCase());
}

function isBufferSource(data: unknown): data is BufferSource {
  return data instanceof ArrayBuffer || ArrayBuffer.isView(data);
}

function bytesOf(chunk: BufferSource): Uint8Array {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  throw new TypeError("Cannot digest the data: a chunk is neither ArrayBuffer nor ArrayBufferView");
}

/** A buffer of its own: what `digest()` gives may be a window of a larger one. */
function finish(hash: ReturnType<typeof createHash>): ArrayBuffer {
  return new Uint8Array(hash.digest()).buffer;
}

function digestSync(
  algorithm: DigestAlgorithm,
  data: BufferSource | Iterable<BufferSource>,
): ArrayBuffer {
  const hash = newHash(algorithm);
  if (isBufferSource(data)) return finish(hash.update(bytesOf(data)));
  for (const chunk of data) hash.update(bytesOf(chunk));
  return finish(hash);
}

async function digest(
  algorithm: DigestAlgorithm,
  data: BufferSource | AsyncIterable<BufferSource> | Iterable<BufferSource>,
): Promise<ArrayBuffer> {
  const hash = newHash(algorithm);
  if (isBufferSource(data)) return finish(hash.update(bytesOf(data)));
  for await (const chunk of data) hash.update(bytesOf(chunk));
  return finish(hash);
}

const web = globalThis.crypto;

/** The platform's `crypto`, with the digests above. */
export const crypto: StdCrypto = {
  getRandomValues: web.getRandomValues.bind(web),
  randomUUID: web.randomUUID.bind(web),
  subtle: {
    decrypt: web.subtle.decrypt.bind(web.subtle),
    deriveBits: web.subtle.deriveBits.bind(web.subtle),
    deriveKey: web.subtle.deriveKey.bind(web.subtle),
    digest,
    digestSync,
    encrypt: web.subtle.encrypt.bind(web.subtle),
    exportKey: web.subtle.exportKey.bind(web.subtle),
    generateKey: web.subtle.generateKey.bind(web.subtle),
    importKey: web.subtle.importKey.bind(web.subtle),
    sign: web.subtle.sign.bind(web.subtle),
    unwrapKey: web.subtle.unwrapKey.bind(web.subtle),
    verify: web.subtle.verify.bind(web.subtle),
    wrapKey: web.subtle.wrapKey.bind(web.subtle),
  },
};
