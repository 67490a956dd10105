/**
 * A port for a server of somebody else that cannot choose one itself, such as etcd.
 *
 * @module
 */

/** Below the ports from which systems take those of connections (from 32,768 on), which come and go all the time. */
const FROM = 20_000;
const TO = 32_000;
const TRIES_MAX = 100;

/** A TCP port of this machine that nobody listens at. Nothing keeps it free: start the server at once. */
export function freePort(): number {
  for (let i = 0; i < TRIES_MAX; i++) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error(`none of ${TRIES_MAX} ports from ${FROM} on is free`);
}
