import { assertEquals } from "@std/assert";
import {
  broadcastAddress,
  isLoopback,
  isOnNetwork,
} from "../../../../shared/platform/network_interface.ts";

Deno.test("broadcastAddress is the last of an interface's network, if it has one", () => {
  const table: [address: string, netmask: string, wanted: string | undefined][] = [
    ["127.0.0.1", "255.0.0.0", "127.255.255.255"],
    ["10.7.3.4", "255.255.240.0", "10.7.15.255"],
    ["192.168.1.77", "255.255.255.252", "192.168.1.79"],
    ["192.168.1.77", "255.255.255.254", undefined],
    ["192.168.1.77", "255.255.255.255", undefined],
    ["1.2.3.4", "0.0.0.0", "255.255.255.255"],
    ["fe80::1", "ffff::", undefined],
    ["1.2.3.400", "255.0.0.0", undefined],
  ];
  for (const [address, netmask, wanted] of table) {
    assertEquals(broadcastAddress({ address, netmask }), wanted, `${address}/${netmask}`);
  }
});

Deno.test("isOnNetwork compares what the mask covers", () => {
  const one = { address: "10.7.3.4", netmask: "255.255.240.0" };
  assertEquals(
    ["10.7.15.1", "10.7.16.1", "10.7.0.0", "node", "::1"].map((host) => isOnNetwork(one, host)),
    [true, false, true, false, false],
  );
});

Deno.test("isLoopback takes the addresses of loopback and localhost, and no other name", () => {
  const loopback = ["127.0.0.1", "127.255.3.4", "::1", "::ffff:127.0.0.1", "localhost"];
  const others = [
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "127.example",
    "127.0.0.1.example",
    "localhost.example",
    "128.0.0.1",
    "fe80::1%eth0",
    "",
  ];
  assertEquals(loopback.filter((host) => !isLoopback(host)), []);
  assertEquals(others.filter((host) => isLoopback(host)), []);
});
