/**
 * The active one of several coordinators loses all nodes, and not the other coordinators, while a node dies: another one
 * has to act, and to have what that node served taken over. Rule G15 of docs/coordinators.md.
 *
 * @module
 */
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import {
  COORDINATOR_DEAF_PAUSE_MS,
  FAILURE_TIMEOUT_MS,
} from "../../../shared/limits/membership.ts";
import { Violation } from "../checkers/invariants.ts";
import { ServiceWatch } from "../checkers/service.ts";
import type { World } from "../sim/world.ts";

const ASK_MS = 500;
/** For so long nodes stay away from it, in which it must not become active again. */
const LOST_MS = COORDINATOR_DEAF_PAUSE_MS + 4 * FAILURE_TIMEOUT_MS;
/**
 * Until the coordinator knows that it has lost all nodes, another one is active, the nodes have found that one, and it
 * has missed the dead node.
 */
const UNSERVED_MS_MAX = 12_000;

/** @param pass lets time pass @param heal waits until all is well */
export async function loseNodes(
  world: World,
  random: Random,
  { pass, heal }: { pass(ms: number): Promise<unknown>; heal(): Promise<void> },
): Promise<void> {
  const active = world.allCoordinatorHosts.find(({ coordinator }) => coordinator?.isActive);
  const dead = world.members[randomBelow(random, world.members.length)];
  if (active === undefined || dead === undefined) throw new Violation("nobody is active");
  world.trace.add("simulation", `${active.name} loses all nodes, and ${dead.name} dies`);
  for (const { name } of world.members) {
    world.network.cut(active.name, name, "hold");
    world.network.cut(name, active.name, "hold");
  }
  world.killNode(dead, true);
  const service = new ServiceWatch(world);
  for (let atMs = 0; atMs < LOST_MS; atMs += ASK_MS) {
    service.ask();
    await pass(ASK_MS);
    const { partition, unservedMs } = service.worst;
    if (unservedMs <= UNSERVED_MS_MAX) continue;
    const text = `${active.name} has lost all nodes, and a partition is not served for ${
      Math.round(unservedMs)
    } ms`;
    throw new Violation(text, partition);
  }
  world.network.healAll();
  world.startNode(dead);
  await heal();
}
