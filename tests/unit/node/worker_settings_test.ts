import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { NODE_PROGRAM, type NodeSettings } from "../../../node/settings.ts";
import {
  ownPorts,
  parsePlace,
  placeText,
  settingsOfWorker,
  type SharedPorts,
} from "../../../node/worker_settings.ts";
import { loadConfig } from "../../../shared/program/config.ts";
import { KvError } from "../../../shared/base/errors.ts";

function load(...args: string[]): NodeSettings {
  const readFile = () => {
    throw new Error("no file");
  };
  const loaded = loadConfig(NODE_PROGRAM, { args, env: () => undefined, readFile });
  if (loaded.kind !== "run") throw new Error(`not a run but ${loaded.kind}`);
  return loaded.values;
}

const PLACE = { number: 2, port: 8081, httpPort: 9081 };

Deno.test("settingsOfWorker: ports and folder of its own, its part of the memory, and an end with its supervisor", () => {
  const config = load("10.0.0.7", "--data=/var/lib/kv/node/", "--workers=4", "--cache-bytes=64MiB");
  const worker = settingsOfWorker(config, PLACE);
  const { port, httpPort, data, cacheBytes, endWithInput, zone, host, peerPort } = worker;
  assertEquals(
    { port, httpPort, data, cacheBytes, endWithInput, zone, host, peerPort },
    {
      port: 8083,
      httpPort: 9083,
      data: "/var/lib/kv/node/worker-2",
      cacheBytes: 16 * 1024 * 1024,
      endWithInput: true,
      // The default of all of them is the host that they share.
      zone: undefined,
      host: "10.0.0.7",
      peerPort: 0,
    },
  );
});

Deno.test("settingsOfWorker: without a folder, that of the shared port; in memory, none", () => {
  assertEquals(settingsOfWorker(load("--workers=2"), PLACE).data, ".kv-node-8081/worker-2");
  const memory = load("--workers=2", "--storage=memory");
  assertEquals(settingsOfWorker(memory, PLACE).data, undefined);
  assertEquals(settingsOfWorker(load("--workers=2", "--peer-port=7000"), PLACE).peerPort, 7_002);
});

Deno.test("ownPorts: those of the machine plus the number; what the system chooses, it chooses for each", () => {
  const cases: [args: string[], shared: SharedPorts, port: number, http: number | "off"][] = [
    [["9000"], { port: 9000, httpPort: 10_000 }, 9002, 10_002],
    [["9000", "--http-port=7000"], { port: 9000, httpPort: 7000 }, 9002, 7002],
    [["9000", "--http-port=0"], { port: 9000, httpPort: 41_234 }, 9002, 0],
    [["9000", "--http-port=off"], { port: 9000, httpPort: "off" }, 9002, "off"],
    [["0", "--data=d"], { port: 41_233, httpPort: 41_234 }, 0, 0],
    [["65000"], { port: 65_000, httpPort: 41_234 }, 65_002, 0],
    // The default was taken.
    [[], { port: 8090, httpPort: 9090 }, 8092, 9092],
  ];
  for (const [args, place, port, httpPort] of cases) {
    const found = ownPorts(load("--workers=2", ...args), { ...PLACE, ...place });
    assertEquals(found, { port, httpPort }, args.join(" "));
  }
});

Deno.test("parsePlace reads what placeText writes, and refuses what a person may have written", () => {
  for (const httpPort of [9081, "off"] as const) {
    const place = { number: 12, port: 8081, httpPort };
    assertEquals(parsePlace(placeText(place)), place);
  }
  for (const text of ["2", "0:1:2", "65:1:2", "a:b:c", "1:2:on", "1:2:3:4"]) {
    assertEquals(assertThrows(() => parsePlace(text), KvError).code, "bad_config", text);
  }
});

Deno.test("NODE_PROGRAM refuses workers where there can be none, and says why", () => {
  const cases: [args: string[], wanted: string][] = [
    [["--workers=2", "--standalone"], "--standalone is a cluster of one node"],
    [["--workers=0"], "from 1 to 64"],
    [["--workers=65"], "from 1 to 64"],
    [["65534", "--workers=2"], "65536"],
    [["--workers=8", "--http-port=65530"], "65538"],
    [["--worker=1:8081:9081"], "leave it out"],
  ];
  for (const [args, wanted] of cases) {
    const error = assertThrows(() => load(...args), KvError);
    assertEquals(error.code, "bad_config");
    assertStringIncludes(error.message, wanted);
  }
  assertEquals(load("65533", "--workers=2").workers, 2);
});
