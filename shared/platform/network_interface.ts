/**
 * This machine's addresses on its networks, as discovery needs them: IPv4 alone, with the network
 * that each is on. Pure; `deno/deno_network_interfaces.ts` asks the machine.
 *
 * @module
 */

/** One address of this machine. */
export interface NetworkInterface {
  /** Dotted IPv4, such as `10.0.0.7`. */
  readonly address: string;
  /** Dotted, such as `255.255.255.0`. */
  readonly netmask: string;
}

/** The address that reaches every host of an interface's network; undefined if there is none. */
export function broadcastAddress({ address, netmask }: NetworkInterface): string | undefined {
  const host = parseIpv4(address);
  const mask = parseIpv4(netmask);
  // A network of one or two hosts (RFC 3021) has no broadcast.
  if (host === undefined || mask === undefined || mask >= 0xffff_fffe) return undefined;
  return formatIpv4((host | ~mask) >>> 0);
}

/** Whether a host is on an interface's network. */
export function isOnNetwork({ address, netmask }: NetworkInterface, host: string): boolean {
  const mine = parseIpv4(address);
  const mask = parseIpv4(netmask);
  const other = parseIpv4(host);
  if (mine === undefined || mask === undefined || other === undefined) return false;
  return ((mine ^ other) & mask) === 0;
}

/**
 * Whether an address means this machine and is useless to another one. A name is none, whatever it begins with, but
 * for `localhost` (RFC 6761, section 6.3).
 */
export function isLoopback(host: string): boolean {
  const v4 = parseIpv4(host.startsWith("::ffff:") ? host.slice("::ffff:".length) : host);
  return host === "localhost" || host === "::1" || (v4 !== undefined && v4 >>> 24 === 127);
}

/** Whether a host means "every interface", to which nobody can connect. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function parseIpv4(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((value, part) => value * 256 + part, 0);
}

function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

/**
 * The names and addresses at which clients of this machine and of others may reach a process.
 *
 * @param advertised by which others reach it, if not by `host`
 */
export function certificateHosts(host: string, advertised: string | undefined): string[] {
  const hosts = new Set(["localhost", "127.0.0.1", "::1", host, advertised ?? host]);
  return [...hosts].filter((one) => !isWildcard(one));
}
