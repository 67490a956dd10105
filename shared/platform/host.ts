/**
 * One form for each host, so that two spellings of an address do not count as two machines or zones:
 * names in lower case, IPv6 addresses without brackets and in the form of RFC 5952. Pure.
 *
 * @module
 */

/**
 * The form in which a host is stored, compared and shown.
 *
 * @param text a name, an IPv4 address, or an IPv6 address with or without brackets and with or without
 * an interface, as in `fe80::1%eth0`
 * @returns undefined if it is none of these
 */
export function canonicalHost(text: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([^\[\]\s]+)\]|([^\[\]\s]+))$/.exec(text.trim()) ?? [];
  const host = bracketed ?? plain ?? "";
  if (host.includes(":")) return canonicalIpv6(host);
  return host === "" || bracketed !== undefined ? undefined : host.toLowerCase();
}

function canonicalIpv6(text: string): string | undefined {
  const [, address = "", zone = ""] = /^([^%]*)((?:%.+)?)$/.exec(text) ?? [];
  const url = `http://[${address}]`;
  if (!URL.canParse(url)) return undefined;
  const host = new URL(url).hostname.slice(1, -1);
  return mappedIpv4(host) + zone;
}

/** RFC 5952, section 5: an IPv4 address in an IPv6 one is written as such. */
function mappedIpv4(host: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return host;
  const bytes = [high, low].map((part) => parseInt(part, 16)).flatMap((n) => [n >> 8, n & 255]);
  return `::ffff:${bytes.join(".")}`;
}
