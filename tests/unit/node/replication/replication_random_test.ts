/**
 * Replication under random misfortune, with a coordinator that makes no mistakes. One client writes
 * and reads each key in turn, so that what a read may answer is known exactly: the last value that
 * was seen or acknowledged, or one of the writes whose outcome is not known.
 */
import { valueOfReply } from "../../../../shared/schema/value_codec.ts";
import { assert, assertEquals } from "@std/assert";
import { FAILURE_TIMEOUT_MS } from "../../../../shared/limits/membership.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const KEYS = 12;
const PARTITIONS = 2;

interface KeyState {
  known: string;
  unknown: Set<string>;
  busy: boolean;
}

async function runSeed(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const chance = (percent: number) => randomBelow(random, 100) < percent;
  const cluster = new NodeCluster({ nodes: 4, replicas: 3, partitions: PARTITIONS, seed });
  await cluster.startAll();
  const ids = [...cluster.hosts.keys()];
  const pick = () => ids[randomBelow(random, ids.length)] ?? "";
  const keys = new Map<string, KeyState>();
  for (let i = 0; i < KEYS; i++) {
    keys.set(`k${i}`, { known: "", unknown: new Set(), busy: false });
  }
  const lostSinceMs = new Map<string, number>();
  let acked = 0;
  let readsDone = 0;
  let nextValue = 0;

  const request = () => {
    const key = `k${randomBelow(random, KEYS)}`;
    const state = keys.get(key);
    const { primary } = cluster.config(partitionOf(key, PARTITIONS));
    // Sometimes somebody who has not heard of the newest map asks another node.
    const target = chance(10) ? pick() : primary;
    const node = target === undefined ? undefined : cluster.host(target).node;
    if (state === undefined || state.busy || node === undefined) return;
    state.busy = true;
    if (chance(50)) {
      const value = `v${nextValue++}`;
      state.unknown.add(value);
      const settle = (code: string) => {
        if (!state.busy) return;
        state.busy = false;
        if (code === "ack") {
          acked++;
          // Those before it, on the same key, may still come: their requests may be in flight.
          state.unknown.delete(value);
          state.known = value;
        } else if (code !== "outcome_unknown") state.unknown.delete(value);
      };
      node.execute({ ...put(key, value), timeout_ms: 3_000 }, (reply) => {
        settle(reply.req_type === "error" ? reply.code : "ack");
      });
      // A node that dies takes its answer along.
      cluster.clock.setTimer(6_000, () => settle("outcome_unknown"));
    } else {
      let open = true;
      node.execute({ ...get(key), timeout_ms: 3_000 }, (reply) => {
        if (!open) return;
        open = false;
        state.busy = false;
        if (reply.req_type === "error" && reply.code !== "not_found") return;
        const value = reply.req_type === "data"
          ? new TextDecoder().decode(valueOfReply(reply))
          : "";
        readsDone++;
        assert(
          value === state.known || state.unknown.has(value),
          `${key} read ${value}, known ${state.known}, unknown ${[...state.unknown]}`,
        );
        state.known = value;
        state.unknown.delete(value);
      });
      cluster.clock.setTimer(6_000, () => {
        if (open) state.busy = false;
        open = false;
      });
    }
  };

  const misfortune = async () => {
    const id = pick();
    const host = cluster.host(id);
    const now = cluster.clock.monotonicMs();
    switch (randomBelow(random, 8)) {
      case 0:
        if (host.node !== undefined && lostSinceMs.size === 0) {
          cluster.crash(id);
          lostSinceMs.set(id, now);
        }
        return;
      case 1:
        if (host.node === undefined) await cluster.start(id);
        return;
      case 2:
        cluster.network.cut(id, pick());
        return;
      case 3:
      case 4:
        for (const other of ids) cluster.network.heal(id, other);
        return;
      case 5:
        cluster.network.reset(id, pick());
        return;
      case 6:
        if (lostSinceMs.size === 0) {
          host.reachable = false;
          lostSinceMs.set(id, now);
        }
        return;
      case 7: {
        const p = randomBelow(random, PARTITIONS);
        const { primary, term, inSync } = cluster.config(p);
        const to = inSync.find((node) => node !== primary);
        if (primary !== undefined && to !== undefined) {
          cluster.host(primary).node?.onHandover(p, term, to);
        }
      }
    }
  };

  /** What the real coordinator would notice. */
  const judge = () => {
    const now = cluster.clock.monotonicMs();
    for (const [id, sinceMs] of lostSinceMs) {
      const host = cluster.host(id);
      if (now - sinceMs < FAILURE_TIMEOUT_MS) continue;
      cluster.fail(id);
      if (host.node !== undefined && (host.reachable || chance(20))) {
        host.reachable = true;
        lostSinceMs.delete(id);
      }
    }
    for (const id of ids) {
      if (lostSinceMs.has(id) || cluster.host(id).node === undefined) continue;
      cluster.map.partitions.forEach((config, p) => {
        if (config.inSync.length + config.learners.length < 3) {
          if (config.inSync.includes(id) || config.learners.includes(id)) return;
          cluster.configure(p, { learners: [...config.learners, id] });
        }
      });
    }
  };

  for (let step = 0; step < 600; step++) {
    request();
    if (chance(4)) await misfortune();
    if (step % 20 === 0) judge();
    await cluster.run(randomBelow(random, 40));
  }
  // Calm: everything heals.
  for (const a of ids) {
    for (const b of ids) cluster.network.heal(a, b);
    cluster.host(a).reachable = true;
  }
  for (const id of ids) if (cluster.host(id).node === undefined) await cluster.start(id);
  await cluster.run(FAILURE_TIMEOUT_MS);
  judge();
  lostSinceMs.clear();
  for (let i = 0; i < 10; i++) {
    judge();
    await cluster.run(2_000);
  }
  for (let p = 0; p < PARTITIONS; p++) {
    const { inSync, primary } = cluster.config(p);
    assertEquals(inSync.length, 3, `seed ${seed}: partition ${p} has its replicas back`);
    assert(primary !== undefined);
    const truth = await cluster.contents(primary, p);
    for (const id of inSync) {
      assertEquals(await cluster.contents(id, p), truth, `seed ${seed}: ${id} equals ${primary}`);
      const store = cluster.node(id).partition(p)?.store;
      const sound = store?.verify();
      await cluster.run(0);
      assertEquals(await sound, true, `seed ${seed}: ${id} agrees with its digest`);
    }
    for (const [key, { known, unknown }] of keys) {
      if (partitionOf(key, PARTITIONS) !== p) continue;
      const value = truth[key] ?? "";
      assert(
        value === known || unknown.has(value),
        `seed ${seed}: ${key} is ${value}, must be ${known} or one of ${[...unknown]}`,
      );
    }
  }
  assert(acked > 30 && readsDone > 30, `seed ${seed}: ${acked} writes, ${readsDone} reads`);
}

const SEEDS = 40;
for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`replication under random misfortune, seed ${seed}`, () => runSeed(seed));
}
