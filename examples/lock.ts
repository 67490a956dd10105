/**
 * A lock with a fencing token: one holder at a time, and a number that tells a late holder from the present one.
 *
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/lock.ts
 *
 * The lock is a key that its holder created and that expires. The key's version is the token: it grows with each holder,
 * so that what the lock protects can refuse a holder whose time was up without its notice. See docs/recipes.md.
 *
 * @module
 */
import { connect, type KvClient, KvError } from "kv-client";

/** A lock that is held. */
export interface Held {
  readonly name: string;
  readonly owner: string;
  /** Greater than that of all holders before. Each renewal gives a greater one. */
  readonly token: number;
}

const keyOf = (name: string) => `lock:${name}`;

/** Tries once. @param owner a name that no other attempt has @returns undefined if somebody holds it */
export async function tryLock(
  kv: KvClient,
  name: string,
  owner: string,
  ttlMs: number,
): Promise<Held | undefined> {
  try {
    return { name, owner, token: await kv.create(keyOf(name), owner, { ttlMs }) };
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    if (error.code === "exists") return undefined;
    if (error.code !== "outcome_unknown") throw error;
  }
  // The answer was lost: whose name is there?
  const entry = await kv.getEntry(keyOf(name));
  const isOurs = entry !== undefined && new TextDecoder().decode(entry.value) === owner;
  return isOurs ? { name, owner, token: entry.version } : undefined;
}

/** Waits until nobody else holds it. */
export async function lock(kv: KvClient, name: string, ttlMs: number): Promise<Held> {
  const owner = crypto.randomUUID();
  for (;;) {
    const held = await tryLock(kv, name, owner, ttlMs);
    if (held !== undefined) return held;
    // At random, so that those who wait do not come at the same moment.
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100));
  }
}

/** Holds it for longer. @returns with a new token; undefined if it is lost */
export async function renew(kv: KvClient, held: Held, ttlMs: number): Promise<Held | undefined> {
  try {
    const options = { ttlMs, ifVersion: held.token };
    return { ...held, token: await kv.put(keyOf(held.name), held.owner, options) };
  } catch (error) {
    if (error instanceof KvError && error.code === "version_mismatch") return undefined;
    throw error;
  }
}

/** Gives it back. If it is lost already, another's lock stays. */
export async function unlock(kv: KvClient, held: Held): Promise<void> {
  try {
    await kv.delete(keyOf(held.name), { ifVersion: held.token });
  } catch (error) {
    if (!(error instanceof KvError) || error.code !== "version_mismatch") throw error;
  }
}

/**
 * What the lock protects: here a file that is kept in the cluster, with the token of its last writer. It takes nothing
 * from a holder with a smaller token, however sure that holder is.
 */
export async function writeFenced(
  kv: KvClient,
  file: string,
  token: number,
  text: string,
): Promise<boolean> {
  const [content, seen] = [`{${file}}:content`, `{${file}}:token`];
  for (;;) {
    const last = await kv.getEntry(seen);
    if (last !== undefined && Number(new TextDecoder().decode(last.value)) > token) return false;
    const outcome = await kv.atomic()
      .check(seen, last?.version)
      .put(seen, String(token))
      .put(content, text)
      .commit();
    if (outcome.ok) return true;
  }
}

if (import.meta.main) {
  await using kv = await connect();
  const name = crypto.randomUUID();
  const slow = await lock(kv, name, 200);
  console.log("the first has the lock");
  // It sleeps for longer than its lock lasts, as a process that was paused does.
  const next = await lock(kv, name, 60_000);
  console.log(`the second has it, with a greater token: ${next.token > slow.token}`);
  console.log(`the second writes: ${await writeFenced(kv, name, next.token, "by the second")}`);
  console.log(`the first wakes up and writes: ${await writeFenced(kv, name, slow.token, "late")}`);
  await unlock(kv, slow);
  console.log(`the second still has it: ${await renew(kv, next, 60_000) !== undefined}`);
}
