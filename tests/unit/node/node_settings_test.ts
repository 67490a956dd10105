import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { NODE_PROGRAM } from "../../../node/settings.ts";
import { loadConfig } from "../../../shared/program/config.ts";
import { KvError } from "../../../shared/base/errors.ts";

function load(args: string[], env: Record<string, string> = {}) {
  const loaded = loadConfig(NODE_PROGRAM, {
    args,
    env: (name) => env[name],
    readFile: () => {
      throw new Error("no file");
    },
  });
  if (loaded.kind !== "run") throw new Error(`not a run but ${loaded.kind}`);
  return loaded;
}

Deno.test("NODE_PROGRAM takes host and port in every form of its usage", () => {
  const cases: [args: string[], host: string, port: number][] = [
    [[], "127.0.0.1", 8081],
    [["8083"], "127.0.0.1", 8083],
    [["0", "--storage", "memory"], "127.0.0.1", 0],
    [["10.0.0.7"], "10.0.0.7", 8081],
    [["10.0.0.7", "9000"], "10.0.0.7", 9000],
    [["--host=10.0.0.7", "--port=9000"], "10.0.0.7", 9000],
    [["0.0.0.0", "9000", "--advertise-host=10.0.0.7"], "0.0.0.0", 9000],
  ];
  for (const [args, host, port] of cases) {
    const { values } = load(args);
    assertEquals([values.host, values.port], [host, port], args.join(" "));
  }
  assertEquals(load([]).sources.port, "default");
  assertEquals(load(["8081"]).sources.port, "argument");
});

Deno.test("NODE_PROGRAM refuses what cannot work, and says what to do", () => {
  const cases: [args: string[], wanted: string][] = [
    [["--standalone", "--coordinator", "h"], "--standalone and --coordinator"],
    [["--standalone", "--rebuild"], "--data"],
    [["--standalone", "--partitions", "100"], "power of two"],
    [["0.0.0.0", "8081"], "--advertise-host"],
    [["0.0.0.0", "8081", "--standalone"], "--advertise-host"],
    [["::", "8081"], "--advertise-host"],
    [["0"], "--data"],
    [["--coordinator=::::"], "--coordinator: required host"],
    [["--coordinator=h:0"], "a port from 1 to 65535"],
    [["--zone", "z".repeat(256)], "255 characters"],
    [["--weight=0"], "--weight must be"],
    [["--storage=disk"], "leveldb, memory"],
    [["--value-bytes-max=9MiB"], "8MiB"],
  ];
  for (const [args, wanted] of cases) {
    const error = assertThrows(() => load(args), KvError);
    assertEquals(error.code, "bad_config");
    assertStringIncludes(error.message, wanted);
  }
});
