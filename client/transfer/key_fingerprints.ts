/**
 * A set of keys that only has to distinguish new keys from known ones, for files with millions of them. It
 * stores 64-bit fingerprints in an open-addressing table instead of the keys, 12 to 24 bytes each. With ten
 * million keys, the chance that it takes one new key for a known one is about three in a million. It only
 * counts; nothing is decided by it.
 *
 * @module
 */

/** Filled to at most two thirds, so that probes stay short. */
const FILL_NUMERATOR = 2;
const FILL_DENOMINATOR = 3;

/** A set of fingerprints. */
export class KeyFingerprints {
  /** Pairs (high, low); the pair (0, 0) marks a free place. */
  #table = new Uint32Array(2 * 1024);
  #size = 0;
  readonly #sizeMax: number;

  /** @param sizeMax keys beyond this number are not remembered */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Distinct keys seen. */
  get size(): number {
    return this.#size;
  }

  /** Whether it can take no more. */
  get full(): boolean {
    return this.#size >= this.#sizeMax;
  }

  /** Adds a key. Returns false if it was there, or if the set is full. */
  add(key: string): boolean {
    const [high, low] = fingerprint(key);
    let at = this.#find(high, low);
    if (this.#table[at] !== 0 || this.#table[at + 1] !== 0 || this.full) return false;
    if ((this.#size + 1) * FILL_DENOMINATOR * 2 > this.#table.length * FILL_NUMERATOR) {
      this.#grow();
      at = this.#find(high, low);
    }
    this.#table[at] = high;
    this.#table[at + 1] = low;
    this.#size++;
    return true;
  }

  /** The index of the pair, or of the free place for it. */
  #find(high: number, low: number): number {
    const mask = this.#table.length / 2 - 1;
    let place = low & mask;
    for (;;) {
      const at = place * 2;
      const h = this.#table[at];
      const l = this.#table[at + 1];
      if ((h === 0 && l === 0) || (h === high && l === low)) return at;
      place = (place + 1) & mask;
    }
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Uint32Array(old.length * 2);
    for (let i = 0; i < old.length; i += 2) {
      const high = old[i] ?? 0;
      const low = old[i + 1] ?? 0;
      if (high === 0 && low === 0) continue;
      const at = this.#find(high, low);
      this.#table[at] = high;
      this.#table[at + 1] = low;
    }
  }
}

/** Two multiplicative hashes over the UTF-16 units, each mixed at the end; never (0, 0). */
function fingerprint(key: string): [high: number, low: number] {
  let a = 0x2545f491 ^ key.length;
  let b = 0x6c8e9cf5;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b + unit, 0x5bd1e995);
    b ^= b >>> 13;
  }
  const high = mix(a ^ Math.imul(b, 0x9e3779b1));
  const low = mix(b + Math.imul(a, 0x85ebca6b));
  return high === 0 && low === 0 ? [1, 0] : [high, low];
}

function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  value = Math.imul(value ^ (value >>> 15), 0x846ca68b);
  return (value ^ (value >>> 16)) >>> 0;
}
