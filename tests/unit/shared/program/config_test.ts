import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type ConfigInput,
  envOf,
  loadConfig,
  type Program,
} from "../../../../shared/program/config.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { helpText } from "../../../../shared/program/help_text.ts";
import {
  bytes,
  choice,
  decimal,
  flag,
  integer,
  optionalInteger,
  optionalText,
  text,
  texts,
} from "../../../../shared/program/setting.ts";

const SETTINGS = {
  host: text({ help: "Where to listen.", default: "127.0.0.1" }),
  port: integer({ help: "The port.", default: 8081, min: 0, max: 65535 }),
  leaseMs: integer({ help: "How long.", default: 1500, min: 100, max: 60_000, unit: "ms" }),
  weight: decimal({ help: "Capacity.", default: 1, min: 0.1, max: 100 }),
  cacheBytes: bytes({ help: "Cache.", default: 64 * 2 ** 20, min: 0, max: 2 ** 40 }),
  storage: choice(["leveldb", "memory"], { help: "Kind.", default: "leveldb" }),
  standalone: flag({ help: "Alone." }),
  zone: optionalText({ help: "Zone." }),
  expectNodes: optionalInteger({ help: "Nodes.", min: 1, max: 9 }),
  seeds: texts({ help: "Seeds." }),
};

const PROGRAM: Program<typeof SETTINGS> = {
  name: "kv-test",
  summary: "a program of this test",
  usage: ["[host] [port] [flags]", "[port] [flags]"],
  settings: SETTINGS,
  positionals: [["port"], ["host"], ["host", "port"]],
  check: ({ leaseMs, weight }) =>
    leaseMs === 999 && weight === 9 ? "--lease-ms 999 does not go with --weight 9" : undefined,
};

const DEFAULTS = {
  host: "127.0.0.1",
  port: 8081,
  leaseMs: 1500,
  weight: 1,
  cacheBytes: 64 * 2 ** 20,
  storage: "leveldb" as const,
  standalone: false,
  zone: undefined,
  expectNodes: undefined,
  seeds: [],
};

function input(
  args: string[],
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): ConfigInput {
  return {
    args,
    env: (name) => env[name],
    readFile: (path) => {
      const file = files[path];
      if (file === undefined) throw new Error("No such file or directory (os error 2)");
      return file;
    },
  };
}

function load(...given: Parameters<typeof input>) {
  const loaded = loadConfig(PROGRAM, input(...given));
  if (loaded.kind !== "run") throw new Error(`expected a run, got ${loaded.kind}`);
  return loaded;
}

Deno.test("loadConfig: gives the defaults if nothing is set", () => {
  const { values, sources } = load([]);
  assertEquals(values, DEFAULTS);
  assertEquals(new Set(Object.values(sources)), new Set(["default"]));
});

Deno.test("loadConfig: flag wins over environment, that over file, that over default", () => {
  const files = { "kv.yaml": "port: 1\nlease-ms: 101\nweight: 2.5\nzone: 7\n" };
  const env = { KV_PORT: "2", KV_LEASE_MS: "102", KV_HOST: "" };
  const { values, sources } = load(["--port", "3", "--config", "kv.yaml"], env, files);
  assertEquals(values, { ...DEFAULTS, port: 3, leaseMs: 102, weight: 2.5, zone: "7" });
  assertEquals(sources.port, "flag");
  assertEquals(sources.leaseMs, "environment");
  assertEquals(sources.weight, "file");
  assertEquals(sources.host, "default");
  assertEquals(load([], { KV_CONFIG: "kv.yaml" }, files).values.port, 1);
});

Deno.test("loadConfig: reads every kind of setting from flags", () => {
  const { values } = load([
    "--host=::1",
    "--weight=0.5",
    "--cache-bytes",
    "16MiB",
    "--storage",
    "memory",
    "--standalone",
    "--expect-nodes=3",
    "--seeds",
    "a:1,b:2",
    "--seeds=c:3",
  ]);
  assertEquals(values, {
    ...DEFAULTS,
    host: "::1",
    weight: 0.5,
    cacheBytes: 16 * 2 ** 20,
    storage: "memory",
    standalone: true,
    expectNodes: 3,
    seeds: ["a:1", "b:2", "c:3"],
  });
});

Deno.test("loadConfig: a flag that is off on the line wins over the environment", () => {
  assertEquals(load([], { KV_STANDALONE: "true" }).values.standalone, true);
  const { values, sources } = load(["--standalone=false"], { KV_STANDALONE: "1" });
  assertEquals(values.standalone, false);
  assertEquals(sources.standalone, "flag");
});

Deno.test("loadConfig: arguments without a flag take the first form that fits", () => {
  const table: [args: string[], host: string, port: number][] = [
    [["9000"], "127.0.0.1", 9000],
    [["localhost"], "localhost", 8081],
    [["10.0.0.1", "9000"], "10.0.0.1", 9000],
    [["10.0.0.1", "--port", "1"], "10.0.0.1", 1],
    [["10.0.0.1", "9000", "--port", "9000"], "10.0.0.1", 9000],
  ];
  for (const [args, host, port] of table) {
    const { values } = load(args);
    assertEquals([values.host, values.port], [host, port], args.join(" "));
  }
});

Deno.test("loadConfig: refuses a setting that is given twice with different values", () => {
  const table: [args: string[], wanted: string][] = [
    [["--port=1", "--port", "2"], '--port is given twice, with "1" and "2"; give it once'],
    [["--port=2", "--port=1", "--port=2"], '--port is given twice, with "1" and "2"'],
    [
      ["9000", "--port=1"],
      '[port] is "9000" and --port is "1", which is the same setting; give it',
    ],
    [["--standalone", "--standalone=0"], '--standalone is given twice, with "true" and "0"'],
    [["--config=a", "--config=b"], "--config is given twice, with a and b"],
  ];
  for (const [args, wanted] of table) {
    const error = assertThrows(() => load(args), KvError, wanted);
    assertEquals((error as KvError).code, "bad_config");
  }
  const { values } = load([
    ...["--port=1", "--port=+1", "--cache-bytes=64k", "--cache-bytes=64KiB"],
    ...["--standalone", "--standalone=1", "--seeds=a", "--seeds=b"],
  ], { KV_PORT: "2" });
  assertEquals([values.port, values.cacheBytes, values.standalone], [1, 65_536, true]);
  assertEquals(values.seeds, ["a", "b"]);
});

Deno.test("loadConfig: hands other arguments over if the program takes them", () => {
  const program = { ...PROGRAM, positionals: [], rest: true };
  const loaded = loadConfig(program, input(["get", "k", "--standalone", "--", "-5"]));
  assertEquals(loaded.kind === "run" && loaded.rest, ["get", "k", "-5"]);
});

Deno.test("loadConfig: says in one line what is wrong and what to do", () => {
  const yaml = (text: string): [string[], Record<string, string>, Record<string, string>] => [
    ["--config", "kv.yaml"],
    {},
    { "kv.yaml": text },
  ];
  const table: [Parameters<typeof input>, string][] = [
    [[["--prot", "1"]], "unknown flag --prot; did you mean --port? kv-test --help lists all flags"],
    [[["--prot=1"]], "unknown flag --prot; did you mean --port?"],
    [[["--constructor"]], "unknown flag --constructor; kv-test --help"],
    [[["-x"]], "unknown flag -x"],
    [[["--port"]], "--port needs a value: an integer from 0 to 65535"],
    [[["--port", "--standalone"]], "--port needs a value"],
    [[["--port", "x"]], `--port must be an integer from 0 to 65535; got "x"`],
    [[["--port", "65536"]], `--port must be an integer from 0 to 65535; got "65536"`],
    [[["--port", "1.5"]], "--port must be an integer"],
    [[["--port=-1"]], "--port must be an integer"],
    [[["--cache-bytes", "4 parsecs"]], "--cache-bytes must be a size from 0 to 1024GiB"],
    [[["--storage", "disk"]], "--storage must be one of leveldb, memory"],
    [[["--standalone=maybe", "--port=y"]], "--port must be"],
    [[["--config"]], "--config needs a file"],
    [[["a", "b"]], `[port] must be an integer from 0 to 65535; got "b"`],
    [[["a", "1", "c"]], `too many arguments: "a" "1" "c"; usage: kv-test [host] [port] [flags] or`],
    [[[], { KV_LEASE_MS: "soon" }], `KV_LEASE_MS must be an integer from 100 to 60000 (ms)`],
    [yaml("prot: 1"), `kv.yaml: unknown setting "prot"; did you mean "port"?`],
    [yaml("port: [1]"), "kv.yaml: port must be an integer from 0 to 65535; got [1]"],
    [yaml("- port"), "kv.yaml: expected a mapping"],
    [yaml("a: b: c"), "kv.yaml is not YAML: "],
    [yaml("port: 1\n---\nhost: a"), "kv.yaml has 2 YAML documents, and only one is read"],
    [[["--config", "no.yaml"]], "cannot read the configuration file no.yaml (No such file"],
    [[["--lease-ms=999", "--weight=9"]], "--lease-ms 999 does not go with --weight 9"],
  ];
  for (const [given, expected] of table) {
    const error = assertThrows(() => load(...given), KvError, expected, given[0].join(" "));
    assertEquals((error as KvError).code, "bad_config");
    assertEquals(error.message.includes("\n"), false, "one line");
  }
});

Deno.test("loadConfig: help and version come before any complaint", () => {
  assertEquals(loadConfig(PROGRAM, input(["--help", "--prot"])).kind, "help");
  assertEquals(loadConfig(PROGRAM, input(["-h"])).kind, "help");
  assertEquals(loadConfig(PROGRAM, input(["help"])).kind, "help");
  assertEquals(loadConfig(PROGRAM, input(["--host", "help"])).kind, "run");
  assertEquals(loadConfig(PROGRAM, input(["--version"])).kind, "version");
});

Deno.test("loadConfig: an empty file and a null value set nothing", () => {
  for (const file of ["", "# nothing\n", "port:\n"]) {
    assertEquals(load(["--config", "f"], {}, { f: file }).values, DEFAULTS);
  }
});

Deno.test("envOf: is the flag in capitals", () => {
  assertEquals(envOf("leaseMs"), "KV_LEASE_MS");
  assertEquals(envOf("port"), "KV_PORT");
});

Deno.test("helpText: lists every setting with its default, bounds and variable", () => {
  const help = helpText(PROGRAM);
  assertStringIncludes(help, "Usage: kv-test [host] [port] [flags]");
  assertStringIncludes(help, "  --lease-ms MS\n");
  assertMatch(help, /default 1500; an integer from 100 to\s+60000 \(ms\); KV_LEASE_MS/);
  assertStringIncludes(help, "default 64MiB");
  for (const name of Object.keys(SETTINGS)) assertStringIncludes(help, envOf(name));
  for (const line of help.split("\n")) assertEquals(line.length <= 100, true, line);
});
