/**
 * CRC32C (Castagnoli): finds accidental damage to stored data. It does not protect against anyone who
 * changes data on purpose.
 *
 * RFC 3720 appendix B.4 has test vectors; the CRC of the nine bytes `123456789` is 0xE3069283. Eight
 * bytes are taken at a step, with eight tables ("slicing by 8", Kounavis and Berry, 2005).
 *
 * @module
 */

/** The polynomial 0x1EDC6F41 with its bits in reverse. */
const POLYNOMIAL = 0x82f63b78;
const TABLES = makeTables();

/** Table k, at `k * 256`: what a byte does to the CRC when k zero bytes follow it. */
function makeTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) * POLYNOMIAL);
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const shorter = tables[i - 256] ?? 0;
    tables[i] = (shorter >>> 8) ^ (tables[shorter & 0xff] ?? 0);
  }
  return tables;
}

/**
 * The CRC of `bytes` from `start` to before `end`, as a number from 0 to 2^32-1.
 *
 * @param previous the CRC of the bytes before these, so that several pieces give one CRC
 */
export function crc32c(
  bytes: Uint8Array,
  previous = 0,
  start = 0,
  end: number = bytes.length,
): number {
  const t = TABLES;
  let crc = ~previous;
  let i = start;
  // The indices are within the arrays, which the type checker cannot know: hence `as number`.
  for (const last = end - 7; i < last; i += 8) {
    crc ^= (bytes[i] as number) | ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24);
    crc = (t[1792 + (crc & 0xff)] as number) ^ (t[1536 + ((crc >>> 8) & 0xff)] as number) ^
      (t[1280 + ((crc >>> 16) & 0xff)] as number) ^ (t[1024 + (crc >>> 24)] as number) ^
      (t[768 + (bytes[i + 4] as number)] as number) ^
      (t[512 + (bytes[i + 5] as number)] as number) ^
      (t[256 + (bytes[i + 6] as number)] as number) ^ (t[bytes[i + 7] as number] as number);
  }
  for (; i < end; i++) {
    crc = (crc >>> 8) ^ (t[(crc ^ (bytes[i] as number)) & 0xff] as number);
  }
  return ~crc >>> 0;
}
