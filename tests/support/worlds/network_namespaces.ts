/**
 * Hosts on one machine: Linux network namespaces on a bridge, each with an address in 10.77.0.0/24 and nothing else,
 * not even a way out. For tests of what happens between machines. They need root and iproute2; if these are missing,
 * `make` returns undefined.
 *
 *     await using network = await NetworkNamespaces.make(["a", "b"]);
 *     network.addressOf("a");                        // 10.77.0.1
 *     await network.program("b", NODE);              // an executable that runs kv-node on host b
 *     await network.evaluate("a", "...");            // what a piece of code prints that runs on host a
 *     await network.cut("a", "b");                   // nothing goes from one to the other any more, until `mend`
 *
 * @module
 */
import type { ProgramSpec } from "../../../tools/programs.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** A small network. */
export class NetworkNamespaces implements AsyncDisposable {
  readonly #names: string[] = [];
  readonly #hosts: readonly string[];
  readonly #folder: string;

  private constructor(hosts: readonly string[], folder: string) {
    this.#hosts = hosts;
    this.#folder = folder;
  }

  /** @returns undefined if this machine does not allow it */
  static async make(hosts: readonly string[]): Promise<NetworkNamespaces | undefined> {
    const folder = await Deno.makeTempDir({ prefix: "kv-net-" });
    const network = new NetworkNamespaces(hosts, folder);
    try {
      const hub = await network.#add("hub");
      if (hub === undefined) {
        await network[Symbol.asyncDispose]();
        return undefined;
      }
      await ip("-n", hub, "link", "add", "bridge", "type", "bridge");
      await ip("-n", hub, "link", "set", "bridge", "up");
      for (const host of hosts) {
        const name = await network.#add(host) ?? "";
        const link = ["type", "veth", "peer", "name", host, "netns", hub];
        await ip("link", "add", "uplink", "netns", name, ...link);
        await ip("-n", hub, "link", "set", "dev", host, "master", "bridge", "up");
        const address = `${network.addressOf(host)}/24`;
        await ip("-n", name, "addr", "add", address, "broadcast", "+", "dev", "uplink");
        await ip("-n", name, "link", "set", "lo", "up");
        await ip("-n", name, "link", "set", "uplink", "up");
      }
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  addressOf(host: string): string {
    return `10.77.0.${this.#hosts.indexOf(host) + 1}`;
  }

  /** Every host's address but for the last number. */
  get broadcast(): string {
    return "10.77.0.255";
  }

  /** From now on, what one of two hosts sends to the other is lost, without a word to either. */
  async cut(a: string, b: string): Promise<void> {
    const nobody = ["lladdr", "02:00:00:00:00:01", "nud", "permanent"];
    await this.#neighbour("replace", a, b, nobody);
    await this.#neighbour("replace", b, a, nobody);
  }

  /** They reach each other again. */
  async mend(a: string, b: string): Promise<void> {
    await this.#neighbour("del", a, b);
    await this.#neighbour("del", b, a);
  }

  async #neighbour(change: string, of: string, whom: string, more: string[] = []): Promise<void> {
    const entry = [this.addressOf(whom), ...more, "dev", "uplink"];
    await ip("-n", this.#nameOf(of), "neigh", change, ...entry);
  }

  /** Runs a module's text on a host. @returns what it prints */
  async evaluate(host: string, code: string): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("ip", {
      args: ["netns", "exec", this.#nameOf(host), Deno.execPath(), "eval", "--no-config", code],
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    if (!success) throw new Error(`on ${host}: ${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  }

  /** A script that runs a program, from source, on a host. It becomes that process: same id. */
  async program(host: string, { name, entry, permissions }: ProgramSpec): Promise<string> {
    const words = ["run", "--quiet", "--no-prompt", ...permissions, ROOT + entry];
    const command = ["ip", "netns", "exec", this.#nameOf(host), Deno.execPath(), ...words];
    const path = `${this.#folder}/${name}-on-${host}`;
    const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    await Deno.writeTextFile(path, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o700 });
    return path;
  }

  /** Removes every namespace, and with them their links. End the processes first. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names.splice(0).reverse()) await ip("netns", "del", name);
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** A name that no other test of this machine has. */
  #nameOf(host: string): string {
    return `kv-test-${Deno.pid}-${host}`;
  }

  async #add(host: string): Promise<string | undefined> {
    const name = this.#nameOf(host);
    try {
      await ip("netns", "add", name);
    } catch {
      return undefined;
    }
    this.#names.push(name);
    return name;
  }
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args, stdin: "null" }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
