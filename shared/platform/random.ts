/**
 * Randomness, as coordinator, node and client see it: ids, jitter. The simulator and the tests pass in a
 * seeded source, so that a seed replays exactly.
 *
 * @module
 */

import { Secret } from "../base/secret.ts";

/** A source of random numbers. */
export interface Random {
  /** An integer from 0 to 2^32-1. */
  uint32(): number;
}

/** A number in [0, 1). */
export function randomFraction(random: Random): number {
  return random.uint32() / 2 ** 32;
}

/** An integer in [0, bound). `bound` is at most 2^32; the bias is below bound / 2^32. */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor(randomFraction(random) * bound);
}

/** A random id of 16 lower-case hexadecimal digits (64 bits). */
export function randomId(random: Random): string {
  const half = () => random.uint32().toString(16).padStart(8, "0");
  return half() + half();
}

/** A secret of 256 bits, as 64 lower-case hexadecimal digits. */
export function randomSecret(random: Random): Secret {
  return new Secret(Array.from({ length: 4 }, () => randomId(random)).join(""));
}

/** The platform's cryptographic generator. */
export class SystemRandom implements Random {
  #pool = new Uint32Array(256);
  #next = 256;

  uint32(): number {
    if (this.#next === this.#pool.length) {
      crypto.getRandomValues(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++] ?? 0;
  }
}

/**
 * A small, fast, repeatable generator for tests and the simulator (sfc32 by Chris Doty-Humphrey,
 * from PractRand). Not for secrets.
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; the same seed gives the same sequence */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < 15; i++) this.uint32();
  }

  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
