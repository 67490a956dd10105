import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  describeSearch,
  findCoordinator,
  formatCsConfig,
  parseAddress,
  parseAddresses,
  parseCsConfig,
} from "../../../../shared/discovery/coordinator_address.ts";
import { KvError } from "../../../../shared/base/errors.ts";

Deno.test("parseAddress takes host, host:port and [ipv6]:port", () => {
  const table: [string, string, number][] = [
    ["example", "example", 8080],
    ["10.0.0.1:9", "10.0.0.1", 9],
    [" a.b:65535 ", "a.b", 65535],
    ["[::1]:81", "::1", 81],
    ["[fe80::1%eth0]", "fe80::1%eth0", 8080],
  ];
  for (const [text, host, port] of table) {
    assertEquals(parseAddress(text, "--coordinator"), { host, port }, text);
  }
});

Deno.test("parseAddress refuses what is not an address, and names the source", () => {
  for (const text of ["", ":1", "a:", "a:0", "a:65536", "a:1x", "a b:1", "::1", "a:1:2", "[::1"]) {
    const error = assertThrows(() => parseAddress(text, "KV_COORDINATOR"), KvError);
    assertEquals(error.code, "bad_config");
    assertStringIncludes(error.message, "KV_COORDINATOR");
  }
});

Deno.test("several coordinators: behind commas, and a line each in cs_config.txt", () => {
  const all = [{ host: "a", port: 1 }, { host: "::1", port: 2 }, { host: "c", port: 8080 }];
  const [first = { host: "", port: 0 }, ...others] = all;
  assertEquals(parseAddresses("a:1,[::1]:2,c", "--coordinator"), all);
  assertThrows(() => parseAddresses("a:1,", "--coordinator"), KvError, "--coordinator");
  const text = formatCsConfig(first, others);
  // A reader of two lines finds what it knows.
  assertEquals(text.split("\n").slice(0, 2), ["a", "1"]);
  assertEquals(parseCsConfig(text), all);
  assertThrows(() => parseCsConfig("a\n1\nb:x\n"), KvError, "cs_config.txt");
});

Deno.test("parseCsConfig reads host and port, whatever the line ends", () => {
  assertEquals(parseCsConfig("h\n1\n"), [{ host: "h", port: 1 }]);
  assertEquals(parseCsConfig("\uFEFFh\r\n1"), [{ host: "h", port: 1 }]);
  assertEquals(parseCsConfig(formatCsConfig({ host: "::1", port: 5 })), [{ host: "::1", port: 5 }]);
  for (const text of ["", "h", "h\n", "h\nx", "\n1", "h\n0"]) {
    assertThrows(() => parseCsConfig(text), KvError, "cs_config.txt");
  }
});

Deno.test("findCoordinator takes the first source that says something", async () => {
  const sources = {
    flag: "flag:1",
    environment: "env:2",
    configFile: "file:3",
    readTextFile: () => Promise.resolve("cs\n4\n"),
    discover: () => Promise.resolve({ address: { host: "found", port: 5 }, said: "" }),
  };
  const steps: [keyof typeof sources, string][] = [
    ["flag", "flag"],
    ["environment", "env"],
    ["configFile", "file"],
    ["readTextFile", "cs"],
    ["discover", "found"],
  ];
  let rest: Partial<typeof sources> = sources;
  for (const [name, host] of steps) {
    assertEquals((await findCoordinator(rest)).address.host, host);
    const { [name]: _, ...others } = rest;
    rest = others;
  }
  assertEquals((await findCoordinator({})).address, { host: "127.0.0.1", port: 8080 });
});

Deno.test("describeSearch says everything that was tried", async () => {
  const found = await findCoordinator({
    configFile: undefined,
    readTextFile: () => Promise.resolve(undefined),
    discover: () => Promise.resolve({ address: undefined, said: "asked them" }),
  });
  assertEquals(
    describeSearch(found),
    "--coordinator not given; KV_COORDINATOR not set; configuration file does not name one; " +
      "no cs_config.txt in the working folder; nobody answered discovery (asked them); " +
      "the default says 127.0.0.1:8080",
  );
});

Deno.test("describeSearch names an option of the library as that, and no file that it does not read", async () => {
  const flagName = "option coordinator";
  assertEquals(
    describeSearch(await findCoordinator({ flagName })),
    "option coordinator not given; KV_COORDINATOR not set; no cs_config.txt in the working folder; " +
      "the default says 127.0.0.1:8080",
  );
  const nonsense = () => findCoordinator({ flagName, flag: "x:y" });
  await assertRejects(nonsense, KvError, "option coordinator: required host");
});

Deno.test("findCoordinator refuses a source that says nonsense", async () => {
  await assertRejects(() => findCoordinator({ environment: "x:y" }), KvError, "KV_COORDINATOR");
});
