import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { COORDINATOR_PROGRAM } from "../../../coordinator/settings.ts";
import { loadConfig } from "../../../shared/program/config.ts";
import { KvError } from "../../../shared/base/errors.ts";

Deno.test("COORDINATOR_PROGRAM: takes host and port, and checks", () => {
  const load = (...args: string[]) => {
    const loaded = loadConfig(COORDINATOR_PROGRAM, {
      args,
      env: () => undefined,
      readFile: () => "",
    });
    assert(loaded.kind === "run");
    return loaded.values;
  };
  assertEquals([load().host, load().port, load().heartbeatPort], ["127.0.0.1", 8080, 3769]);
  assertEquals(load("9090").port, 9090);
  assertEquals(load("10.0.0.1").host, "10.0.0.1");
  assertEquals([load("h", "1").host, load("h", "1").port], ["h", 1]);
  assertEquals(load().partitions, undefined);
  assertThrows(() => load("--force-partition=3"), KvError);
  assertThrows(() => load("--partitions=x"), KvError);
  assertThrows(() => load("--no-such"), KvError);
  // A document with the authority's key is not given to a service that others read.
  const exposed = assertThrows(() => load("--secure", "--register=etcd://h:1/kv"), KvError);
  assertMatch(exposed.message, /pose as any member; leave --register out/);
  assertEquals(load("--register=etcd://h:1/kv").register, "etcd://h:1/kv");
  assertEquals(load(`--cluster-name=${"x".repeat(255)}`).clusterName?.length, 255);
  const tooLong = assertThrows(() => load(`--cluster-name=${"x".repeat(256)}`), KvError);
  assertMatch(tooLong.message, /1 to 255 characters/);
});
