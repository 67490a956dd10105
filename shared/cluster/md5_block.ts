/**
 * The first word of an MD5 digest (RFC 1321) of a message that fits one block: all that a ring
 * position needs. It is about six times as fast as a whole digest by `@std/crypto`, because it
 * allocates nothing. It is not a general MD5, and not for secrets.
 *
 * @module
 */

/** A longer message, with its end mark and its length, does not fit one block of 64 bytes. */
export const ONE_BLOCK_BYTES_MAX = 55;

/** The words of a block. */
export const BLOCK_WORDS = 16;

/** Section 3.4 of the RFC: the 64 additive constants are defined by the sine. */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.abs(Math.sin(i + 1)) * 2 ** 32);

/** Which word of the block each of the 64 steps adds. */
const WORD_OF_STEP = Uint8Array.from({ length: 64 }, (_, i) => {
  const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][i >> 4] ?? 0;
  return word % BLOCK_WORDS;
});

/** How far each step rotates. */
const SHIFT_OF_STEP = Uint8Array.from({ length: 64 }, (_, i) => {
  const ofRound = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]][i >> 4];
  return ofRound?.[i & 3] ?? 0;
});

/**
 * The first four bytes of the digest as a big-endian number.
 *
 * @param block sixteen little-endian words: the message, byte 0x80, zeros, and in word 14 the
 *   message's length in bits
 */
export function md5FirstWord(block: Int32Array): number {
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  for (let i = 0; i < 64; i++) {
    let mixed: number;
    if (i < 16) mixed = d ^ (b & (c ^ d));
    else if (i < 32) mixed = c ^ (d & (b ^ c));
    else if (i < 48) mixed = b ^ c ^ d;
    else mixed = c ^ (b | ~d);
    const word = block[WORD_OF_STEP[i] ?? 0] ?? 0;
    const sum = (a + mixed + word + (SINES[i] ?? 0)) | 0;
    const shift = SHIFT_OF_STEP[i] ?? 0;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  return byteSwapped((a + 0x67452301) | 0);
}

function byteSwapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
