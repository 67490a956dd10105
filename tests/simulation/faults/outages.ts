/**
 * Single faults between two hosts, for runs that are quiet otherwise: in such a run it can be said how
 * soon everything must be served again. In a storm nobody can, since the next fault may come before that.
 *
 * @module
 */
import type { Channel, SimNetwork } from "../sim/sim_network.ts";

/** One of them. */
export interface Outage {
  readonly name: string;
  /** Another node is stopped cleanly meanwhile, so that its partitions are given to somebody. */
  readonly stopsAnother: boolean;
  /** Not the network fails but the node: it hears of new maps and does not take them over. It is started again afterwards. */
  readonly ignoresMaps?: boolean;
  /** The coordinator has started just before, and nobody reaches it: it may change nothing. */
  readonly restartsCoordinator?: boolean;
  /** Clients that know one node alone must get what they ask for by way of a third. */
  readonly sparesClients: boolean;
  /**
   * Begins it.
   *
   * @param node the host of a node
   * @param other the host of another node
   * @param all all other hosts
   */
  begin(network: SimNetwork, node: string, other: string, all: readonly string[]): void;
}

/** The coordinator's host, as `world.ts` has it. */
const COORDINATOR = "coord";
const TCP: readonly Channel[] = ["tcp"];
const UDP: readonly Channel[] = ["udp"];

function bothWays(network: SimNetwork, a: string, b: string, channels?: readonly Channel[]): void {
  network.cut(a, b, "hold", channels);
  network.cut(b, a, "hold", channels);
}

/** All of them; the network's `healAll` ends each. */
export const OUTAGES: readonly Outage[] = [
  {
    name: "no TCP between node and coordinator, and its session ends",
    stopsAnother: true,
    sparesClients: false,
    begin(network, node) {
      bothWays(network, node, COORDINATOR, TCP);
      network.reset(node, COORDINATOR);
    },
  },
  {
    name: "no TCP from the coordinator to the node",
    stopsAnother: true,
    sparesClients: false,
    begin: (network, node) => network.cut(COORDINATOR, node, "hold", TCP),
  },
  {
    name: "no TCP from the node to the coordinator",
    stopsAnother: true,
    sparesClients: false,
    begin: (network, node) => network.cut(node, COORDINATOR, "hold", TCP),
  },
  {
    name: "the node's session is half open",
    stopsAnother: true,
    sparesClients: false,
    begin: (network, node) => void network.forgetStreams(node, COORDINATOR),
  },
  {
    name: "the node hears nobody, and is heard",
    stopsAnother: false,
    sparesClients: false,
    begin(network, node, _other, all) {
      for (const host of all) network.cut(host, node, "hold");
    },
  },
  {
    name: "the node's reports do not arrive, and it does not reach a replica",
    stopsAnother: false,
    sparesClients: false,
    begin(network, node, other) {
      network.cut(node, COORDINATOR, "hold", TCP);
      bothWays(network, node, other);
    },
  },
  {
    name: "nobody but the coordinator reaches the node",
    stopsAnother: false,
    sparesClients: false,
    begin(network, node, _other, all) {
      for (const host of all) if (host !== COORDINATOR) bothWays(network, node, host);
    },
  },
  {
    name: "the node does not take over the maps that it is sent",
    stopsAnother: true,
    sparesClients: false,
    ignoresMaps: true,
    begin: () => {},
  },
  {
    name: "nobody reaches the coordinator, which has just started",
    stopsAnother: false,
    sparesClients: false,
    restartsCoordinator: true,
    begin(network, node, _other, all) {
      for (const host of [node, ...all]) {
        if (host !== COORDINATOR) bothWays(network, host, COORDINATOR);
      }
    },
  },
  {
    name: "no UDP between node and coordinator",
    stopsAnother: false,
    sparesClients: true,
    begin: (network, node) => bothWays(network, node, COORDINATOR, UDP),
  },
  {
    name: "two nodes do not see each other",
    stopsAnother: false,
    sparesClients: true,
    begin: (network, node, other) => bothWays(network, node, other),
  },
];
