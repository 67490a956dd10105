/**
 * The values that the workload writes. Each is unique and tells by itself whether it came back whole:
 * a name, and for some of them a filling, whose length and kind follow from the name.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The n-th value's name, which stands for it in the history. */
export function valueName(n: number): string {
  return `v${n}`;
}

/** The bytes of a value. */
export function valueBytes(name: string): Uint8Array {
  const n = Number(name.slice(1));
  const head = encoder.encode(name);
  // Every fifth is long; every seventh is no UTF-8 text.
  const filling = n % 5 === 0 ? (n * 7919) % 3_000 + 1 : n % 7 === 0 ? 3 : 0;
  if (filling === 0) return head;
  const bytes = new Uint8Array(head.length + 1 + filling);
  bytes.set(head);
  bytes[head.length] = 0x2f;
  bytes.fill(n % 7 === 0 ? 0xff : 0x78, head.length + 1);
  return bytes;
}

/** The name of a value that came back; `garbled …` if it is not what such a value consists of. */
export function nameOf(bytes: Uint8Array): string {
  const slash = bytes.indexOf(0x2f);
  const name = decoder.decode(slash < 0 ? bytes : bytes.subarray(0, slash));
  if (/^v\d+$/.test(name)) {
    const whole = valueBytes(name);
    if (whole.length === bytes.length && whole.every((byte, i) => byte === bytes[i])) return name;
  }
  return `garbled ${JSON.stringify(name.slice(0, 32))}, ${bytes.length} bytes`;
}

/** What a key holds, by its name. Counters hold numbers, all other keys values of the workload's. */
export function nameIn(key: string, bytes: Uint8Array): string {
  return key.startsWith("sum") ? decoder.decode(bytes) : nameOf(bytes);
}
