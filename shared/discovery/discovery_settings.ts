/**
 * The settings of discovery that all three programs have, and the addresses of its datagrams. It reads
 * nothing by itself.
 *
 * @module
 */
import { DISCOVERY_SECRET_CHARACTERS_MIN } from "../limits/membership.ts";
import { choice, integer, optionalText } from "../program/setting.ts";

/** The UDP port on which coordinators listen for questions. */
export const DISCOVERY_PORT = 7946;

/** The multicast group of questions: of the locally administered scope (RFC 2365). */
export const DISCOVERY_GROUP = "239.255.79.46";

/** The ways by which questions are sent and heard. */
const DISCOVERY_MODES = ["on", "broadcast", "multicast", "off"] as const;

/** `on` is broadcast and multicast. */
export type DiscoveryMode = (typeof DISCOVERY_MODES)[number];

/**
 * The rows of a program's table.
 *
 * @param help what discovery is for this program
 * @param portMin 0 for a program that listens, 1 for a program that asks
 */
export function discoverySettings(help: string, portMin: 0 | 1) {
  return {
    discovery: choice(DISCOVERY_MODES, { help, default: "on" }),
    discoveryPort: integer({
      help: portMin === 0
        ? "The UDP port of discovery; 0 lets the system choose one."
        : "The UDP port of discovery.",
      min: portMin,
      max: 65_535,
      default: DISCOVERY_PORT,
      placeholder: "PORT",
    }),
    discoverySecret: optionalText({
      help: "Discovery's datagrams are signed with this, and unsigned ones ignored. At least " +
        `${DISCOVERY_SECRET_CHARACTERS_MIN} characters; give it by the environment or a file, since ` +
        "others can read a process's arguments.",
      placeholder: "TEXT",
    }),
  };
}

/** What is wrong with a secret, and what to do; or undefined. */
export function whyWeakSecret(secret: string | undefined): string | undefined {
  if (secret === undefined || secret.length >= DISCOVERY_SECRET_CHARACTERS_MIN) return undefined;
  return `--discovery-secret must have at least ${DISCOVERY_SECRET_CHARACTERS_MIN} characters, ` +
    `since who hears a datagram can try guesses; given ${secret.length}`;
}
