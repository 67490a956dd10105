import { assertEquals } from "@std/assert";
import { canonicalHost } from "../../../../shared/platform/host.ts";

Deno.test("canonicalHost: one form of each address, as RFC 5952 has it", () => {
  const table: [text: string, host: string | undefined][] = [
    ["fd44::12", "fd44::12"],
    ["[fd44::12]", "fd44::12"],
    ["FD44:0:0:0:0:0:0:12", "fd44::12"],
    ["fd44:0000::0012", "fd44::12"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["[0:0:0:0:0:0:0:0]", "::"],
    ["::FFFF:10.1.2.3", "::ffff:10.1.2.3"],
    ["::ffff:a01:203", "::ffff:10.1.2.3"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["[FE80::1%Eth0]", "fe80::1%Eth0"],
    ["127.0.0.1", "127.0.0.1"],
    [" DB-1.Example ", "db-1.example"],
    ["", undefined],
    ["[db-1]", undefined],
    ["[fd44::12", undefined],
    ["[[fd44::12]]", undefined],
    ["fd44::12::1", undefined],
    ["a b", undefined],
  ];
  for (const [text, host] of table) assertEquals(canonicalHost(text), host, text);
});
