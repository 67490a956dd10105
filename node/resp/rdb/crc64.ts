/**
 * CRC-64 as Redis computes it (Jones' polynomial, reflected, initially 0). Pure.
 *
 * Check value: that of `123456789` is 0xe9c6d914c4b8d9ca.
 *
 * @module
 */

const POLYNOMIAL = 0x95ac9329ac4bc9b5n;
/** High and low halves of the table's entries: numbers are much faster than bigints. */
const HIGH = new Uint32Array(256);
const LOW = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 0n ? crc >> 1n : (crc >> 1n) ^ POLYNOMIAL;
  HIGH[byte] = Number(crc >> 32n);
  LOW[byte] = Number(crc & 0xffff_ffffn);
}

/** The checksum of some bytes. */
export function crc64(bytes: Uint8Array): bigint {
  let [high, low] = [0, 0];
  for (const byte of bytes) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (LOW[index] ?? 0);
    high = (high >>> 8) ^ (HIGH[index] ?? 0);
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
