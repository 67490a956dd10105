/**
 * Which key comes next: all equally likely, or, as in YCSB, a few of them very often (Zipf's law with exponent
 * 0.99; the generator is that of Gray et al., "Quickly Generating Billion-Record Synthetic Databases", 1994,
 * section 3.2). Ranks are shuffled over the keys, so that frequent keys are not next to each other.
 *
 * @module
 */
import { randomBelow, randomFraction, type SeededRandom } from "../../../shared/platform/random.ts";

/** How often keys are chosen. */
export type Distribution = "uniform" | "zipfian";

const THETA = 0.99;

/** Gives numbers of keys, from 0 to `count` - 1. */
export function keyChooser(
  distribution: Distribution,
  count: number,
  random: SeededRandom,
): () => number {
  if (distribution === "uniform") return () => randomBelow(random, count);
  const rank = zipfianRanks(count, random);
  const shuffled = shuffle(count, random);
  return () => shuffled[rank()] ?? 0;
}

/** Ranks: 0 is the most frequent. */
export function zipfianRanks(count: number, random: SeededRandom): () => number {
  const zeta2 = zeta(2);
  const zetaCount = zeta(count);
  const alpha = 1 / (1 - THETA);
  const eta = (1 - (2 / count) ** (1 - THETA)) / (1 - zeta2 / zetaCount);
  const second = 1 + 0.5 ** THETA;
  return () => {
    const fraction = randomFraction(random);
    const part = fraction * zetaCount;
    if (part < 1 || count === 1) return 0;
    if (part < second) return 1;
    return Math.min(count - 1, Math.floor(count * (eta * fraction - eta + 1) ** alpha));
  };
}

function zeta(count: number): number {
  let sum = 0;
  for (let i = 1; i <= count; i++) sum += 1 / i ** THETA;
  return sum;
}

function shuffle(count: number, random: SeededRandom): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    const moved = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = moved;
  }
  return order;
}
