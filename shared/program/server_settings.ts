/**
 * The settings of programs that serve until they are told to stop, and whom they may serve without security.
 * `untilTold` of `program.ts` acts on `endWithInput`.
 *
 * @module
 */
import { isLoopback } from "../platform/network_interface.ts";
import { SLOW_REQUEST_MS } from "../limits/requests.ts";
import { flag, integer } from "./setting.ts";

export const SERVER_SETTINGS = {
  endWithInput: flag({
    help: "Stop cleanly when standard input ends. A parent process that holds the other end of a " +
      "pipe, as deno task up does, then leaves no process behind, however it ends itself.",
  }),
  slowRequestMs: integer({
    help: "A request that takes longer is kept in the list of slow requests, with its key.",
    min: 0,
    max: 3_600_000,
    default: SLOW_REQUEST_MS,
    unit: "ms",
  }),
  insecure: flag({
    help:
      "Listen beyond this machine without encryption and without logins. For networks on which " +
      "everybody may read, change and delete everything.",
  }),
};

/** What decides whether a process may listen at its address. */
export interface Exposure {
  readonly host: string;
  readonly insecure: boolean;
  /** Whether it speaks TLS and asks for logins. */
  readonly isSecured: boolean;
  /** How this process is secured, as it follows "add". */
  readonly howToSecure: string;
}

/**
 * Why a process may not listen at its address, and what to do, or undefined. Only loopback is known to be reached by
 * this machine alone: a wildcard is every address, and a name may come to mean any.
 */
export function whyExposed(
  { host, insecure, isSecured, howToSecure }: Exposure,
): string | undefined {
  if (isSecured || insecure || isLoopback(host)) return undefined;
  return `listening on ${host} would let whoever reaches it read, change and delete everything; add ` +
    `${howToSecure}, for TLS on all ports and a login for everything, or --insecure, if everybody ` +
    "on this network may do all of that";
}
