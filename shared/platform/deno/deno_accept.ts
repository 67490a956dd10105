/**
 * Accepts connections for as long as a listener is open, whatever happens to single ones. A connection
 * that broke before it was accepted costs nothing. If the process has no descriptor or memory for a
 * connection, accepting goes on after a pause, and the log says so once in a while.
 *
 * @module
 */
import { ACCEPT_PAUSE_MS, ADMISSION_LOG_MS } from "../../limits/admission.ts";
import type { AcceptedConnection, ConnectionListener } from "./deno_listen.ts";
import type { Logger } from "../logger.ts";

/**
 * After this many accepted connections other work gets its turn. The number is small because what a new
 * connection has sent is read in those turns: until then it counts as silent, and may have to make room.
 */
const ACCEPTS_PER_TURN = 16;
/** This many failures in a row are not accidents of single connections. */
const FAILURES_IN_A_ROW_MAX = 64;
/** EMFILE, ENFILE, ENOBUFS, ENOMEM: what is missing now will still be missing in a moment. */
const EXHAUSTED = /\(os error (24|23|105|12)\)/;

/**
 * Gives each accepted connection to `onConnection`, until `state.closed`, and one that was accepted at that
 * moment: its client may have asked something already, and if we closed it here, what is unread would make the
 * system break it off. When this resolves, the listener's port is closed. Never rejects.
 */
export async function acceptAll(
  listener: ConnectionListener,
  state: { readonly closed: boolean },
  onConnection: (connection: AcceptedConnection) => void,
  log?: Logger,
): Promise<void> {
  let failures = 0;
  let loggedMs = -Infinity;
  for (let count = 1; !state.closed; count++) {
    if (count % ACCEPTS_PER_TURN === 0) await pauseMs(0);
    let connection: AcceptedConnection;
    try {
      connection = await listener.accept();
      failures = 0;
    } catch (error) {
      if (state.closed) return;
      failures++;
      const text = error instanceof Error ? error.message : String(error);
      if (!EXHAUSTED.test(text) && failures < FAILURES_IN_A_ROW_MAX) continue;
      const now = performance.now();
      if (now > loggedMs + ADMISSION_LOG_MS) {
        loggedMs = now;
        log?.warn("connections cannot be accepted; trying again", { why: text });
      }
      await pauseMs(ACCEPT_PAUSE_MS);
      continue;
    }
    onConnection(connection);
  }
}

function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
