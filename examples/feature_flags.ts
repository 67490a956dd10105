/**
 * Feature flags: every process knows at once when a flag is switched, and goes on with what it knew if it cannot hear.
 *
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/feature_flags.ts &
 *     kv-client put flag:new-checkout on
 *
 * A flag is a key, and its value says for whom it is on: `on`, `off`, or a share of the users, such as `25%`. All flags
 * are kept in memory by a watch, so to ask for one costs nothing. See docs/recipes.md.
 *
 * @module
 */
import { connect, type KvClient } from "kv-client";

const PREFIX = "flag:";

/** The flags, as this process knows them. */
export class FeatureFlags {
  readonly #values = new Map<string, string>();
  /** Called when a flag was switched. */
  onSwitched: (flag: string, value: string | undefined) => void = () => {};

  /** Follows all flags until the signal. `ready` is called when all of them are known for the first time. */
  async follow(kv: KvClient, signal: AbortSignal, ready: () => void): Promise<void> {
    for await (const event of kv.watch({ prefix: PREFIX, snapshot: true, signal })) {
      switch (event.type) {
        case "put":
          this.#switch(event.key, new TextDecoder().decode(event.value));
          break;
        case "delete":
        case "expired":
          this.#switch(event.key, undefined);
          break;
        case "reset":
          // All flags that there are follow.
          this.#values.clear();
          break;
        case "level":
          ready();
      }
    }
  }

  /** Whether a flag is on for a user. A flag that nobody has set is off. */
  isOn(flag: string, user: string): boolean {
    const value = this.#values.get(PREFIX + flag) ?? "off";
    const share = /^(\d+)%$/.exec(value);
    return share === null ? value === "on" : shareOf(flag, user) < Number(share[1]);
  }

  #switch(key: string, value: string | undefined): void {
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.onSwitched(key.slice(PREFIX.length), value);
  }
}

/** From 0 to 99, always the same for a user, and another for each flag. FNV-1a. */
function shareOf(flag: string, user: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${flag}/${user}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash % 100;
}

if (import.meta.main) {
  await using kv = await connect();
  const flags = new FeatureFlags();
  flags.onSwitched = (flag, value) => console.log(`${flag} is ${value ?? "gone"}`);
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort());
  await flags.follow(kv, stop.signal, () => console.log("all flags are known"));
}
