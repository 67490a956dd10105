/**
 * This machine's IPv4 addresses, through Deno. If that is not permitted (`--allow-sys`), there are none,
 * and the user is not asked: discovery then leaves the choice of the network to the system.
 *
 * @module
 */
import type { NetworkInterface } from "../network_interface.ts";

/** Asked again each time: addresses come and go. */
export function networkInterfaces(): NetworkInterface[] {
  const permission = Deno.permissions.querySync({ name: "sys", kind: "networkInterfaces" });
  if (permission.state !== "granted") return [];
  try {
    return Deno.networkInterfaces()
      .filter(({ family }) => family === "IPv4")
      .map(({ address, netmask }) => ({ address, netmask }));
  } catch {
    return [];
  }
}
