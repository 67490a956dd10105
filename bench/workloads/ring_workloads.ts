/**
 * Positions, ring, placement, cache.
 *
 * @module
 */
import { place } from "../../coordinator/placement/placement.ts";
import { AvlTree } from "../../shared/ring/avl_tree.ts";
import { HashRing } from "../../shared/ring/hash_ring.ts";
import { VNODES_DEFAULT } from "../../shared/limits/cluster.ts";
import { partitionOf, positionByDigest } from "../../shared/cluster/position.ts";
import { randomId, SeededRandom } from "../../shared/platform/random.ts";
import { type Effort, measure, type Report } from "../figure.ts";
import { sampleKeys } from "../sample_data.ts";

const GROUP = "ring";
const KEYS = 4_096;
const TREE_KEYS = 10_000;

/** Measures them. */
export async function measureRing(effort: Effort, report: Report): Promise<void> {
  const run = async (name: string, work: (times: number) => unknown, operations = 1) =>
    report(await measure(GROUP, name, effort, work, operations));
  const keys = sampleKeys(KEYS);
  const keyAt = (i: number) => keys[i % KEYS] ?? "";

  await run("partition of a key of 16 B", (times) => {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += partitionOf(keyAt(i), 256);
    return sum;
  });
  await run("position by @std/crypto, key of 16 B", (times) => {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += positionByDigest(keyAt(i));
    return sum;
  });
  await measureTree(run);

  const random = new SeededRandom(1);
  const nodes = Array.from({ length: 1_000 }, () => {
    const id = randomId(random);
    return { id, weight: 1, zone: id };
  });
  const ring = new HashRing();
  for (const node of nodes.slice(0, 20)) ring.add(node.id, VNODES_DEFAULT);
  await run("walk to 3 of 20 nodes", (times) => {
    let met = 0;
    for (let i = 0; i < times; i++) {
      let wanted = 3;
      for (const node of ring.walk(random.uint32())) {
        met += node.length;
        if (--wanted === 0) break;
      }
    }
    return met;
  });
  const placing = (count: number, partitions: number) => (times: number) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += place(nodes.slice(0, count), partitions, 3).length;
    return size;
  };
  await run("place 256 partitions on 4 nodes", placing(4, 256));
  await run("place 256 partitions on 20 nodes", placing(20, 256));
  await run("place 65,536 partitions on 1,000 nodes", placing(1_000, 65_536));
}

type Run = (name: string, work: (times: number) => unknown, operations?: number) => Promise<void>;

async function measureTree(run: Run): Promise<void> {
  const random = new SeededRandom(2);
  const keys = Array.from({ length: TREE_KEYS }, () => random.uint32());
  const filled = () => {
    const tree = new AvlTree<number>((a, b) => a - b);
    for (const key of keys) tree.insert(key);
    return tree;
  };
  await run("AVL insert, to 10,000 keys", (times) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += filled().size;
    return size;
  }, TREE_KEYS);
  const tree = filled();
  await run("AVL ceiling, of 10,000 keys", (times) => {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += tree.ceiling((i * 2_654_435_761) >>> 0) ?? 0;
    return sum;
  });
}
