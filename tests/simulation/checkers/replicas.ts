/**
 * After the calm: whether all replicas of each partition are the same, and each agrees with its own
 * checksums. What is compared is what the nodes' stores give, key by key.
 *
 * @module
 */
import type { PartitionStore } from "../../../node/storage/partition_store.ts";
import { isTombstone } from "../../../shared/base/entry.ts";
import type { World } from "../sim/world.ts";

/** The first difference; undefined if there is none. */
export async function compareReplicas(
  world: World,
): Promise<{ text: string; partition: number } | undefined> {
  const partitions = world.map?.partitions ?? [];
  for (const [partition, { inSync }] of partitions.entries()) {
    let first: { name: string; state: string; rows: string } | undefined;
    for (const id of inSync) {
      const host = world.hostOf(id);
      const store = host?.runtime?.node.partition(partition)?.store;
      if (host === undefined || store === undefined) {
        return { text: `${id} does not hold partition ${partition}`, partition };
      }
      const { lastSeq, commitSeq, count, digest } = store.state;
      const state = JSON.stringify({ lastSeq, commitSeq, count, digest });
      if (lastSeq !== commitSeq) {
        return {
          text: `${host.name}: partition ${partition} is not committed: ${state}`,
          partition,
        };
      }
      if (!await store.verify()) {
        return { text: `${host.name}: partition ${partition} does not fit its digest`, partition };
      }
      const rows = await rowsOf(store);
      if (first === undefined) {
        first = { name: host.name, state, rows };
      } else if (first.state !== state || first.rows !== rows) {
        const text = `partition ${partition} differs: ${first.name} has ${first.state}, ` +
          `${host.name} has ${state}` +
          (first.rows === rows ? "" : `\n${first.name}: ${first.rows}\n${host.name}: ${rows}`);
        return { text, partition };
      }
    }
  }
  return undefined;
}

/** How far each replica is, as text: two that are the same mean that nothing was written in between. */
export function seqsOf(world: World): string {
  return (world.map?.partitions ?? []).map(({ inSync }, partition) =>
    inSync.map((id) => {
      const state = world.hostOf(id)?.runtime?.node.partition(partition)?.store.state;
      return `${state?.lastSeq}/${state?.commitSeq}`;
    }).join()
  ).join(" ");
}

/** Live entries as text. Tombstones are dropped by each replica when it sees fit. */
async function rowsOf(store: PartitionStore): Promise<string> {
  const { entries } = await store.scan(undefined, { rowsMax: 1e6, bytesMax: 1e9 });
  return entries.filter((entry) => !isTombstone(entry)).map(({ key, seq, term, value }) =>
    `${key}@${term}.${seq}:${value.length}:${value.slice(0, 12).join(".")}`
  ).join(" ");
}
