/**
 * Leader election: of several processes, one does the work; if it dies, another takes over.
 *
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/leader_election.ts a &
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/leader_election.ts b
 *
 * The leader is who holds the lock of `lock.ts` and renews it. It counts its own time from before it asked, so that it
 * stops being sure of itself before anybody else can take over. See docs/recipes.md.
 *
 * @module
 */
import { connect, type KvClient } from "kv-client";
import { type Held, renew, tryLock, unlock } from "./lock.ts";

const LEASE_MS = 3_000;
const RENEW_MS = LEASE_MS / 3;

/** One candidate. */
export class Candidate {
  readonly #kv: KvClient;
  readonly #election: string;
  readonly #owner: string;
  #held: Held | undefined;
  #sureUntilMs = 0;

  constructor(kv: KvClient, election: string, name: string) {
    this.#kv = kv;
    this.#election = election;
    this.#owner = `${name} ${crypto.randomUUID()}`;
  }

  /** Whether this process may act as the leader now. Ask before each step of the work. */
  get isLeader(): boolean {
    return this.#held !== undefined && performance.now() < this.#sureUntilMs;
  }

  /** To be given to whatever the leader writes to; see `lock.ts`. */
  get token(): number {
    return this.#held?.token ?? 0;
  }

  /** Tries to become the leader, or to stay it, until the signal. */
  async run(signal: AbortSignal, onChange: (isLeader: boolean) => void): Promise<void> {
    let told = false;
    const tell = () => {
      if (this.isLeader !== told) onChange(told = this.isLeader);
    };
    while (!signal.aborted) {
      const askedMs = performance.now();
      try {
        this.#held = this.#held === undefined
          ? await tryLock(this.#kv, this.#election, this.#owner, LEASE_MS)
          : await renew(this.#kv, this.#held, LEASE_MS);
        this.#sureUntilMs = askedMs + LEASE_MS;
      } catch {
        // Nobody answers: it stays what it is until its time is up, and then does not know any more.
        if (performance.now() >= this.#sureUntilMs) this.#held = undefined;
      }
      tell();
      await pause(RENEW_MS, signal);
      tell();
    }
    if (this.#held !== undefined) await unlock(this.#kv, this.#held);
    this.#held = undefined;
    tell();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

if (import.meta.main) {
  const [name = "a candidate", election = "leader"] = Deno.args;
  // An answer that comes after the lease is of no use.
  await using kv = await connect({ timeoutMs: RENEW_MS });
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  console.log(`${name} waits`);
  await new Candidate(kv, election, name).run(stop.signal, (isLeader) => {
    console.log(`${name} ${isLeader ? "leads" : "does not lead any more"}`);
  });
}
