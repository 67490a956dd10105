import { assert, assertEquals } from "@std/assert";
import { COORDINATOR_SETTINGS, wantedOf } from "../../../../coordinator/settings.ts";
import { clusterSettings } from "../../../../coordinator/state/cluster_settings.ts";
import {
  CLUSTER_SETTINGS,
  isClusterSettings,
  settingRows,
  settingsShown,
  standardSettings,
} from "../../../../shared/cluster/cluster_settings.ts";
import { COORDINATOR_PROGRAM } from "../../../../coordinator/settings.ts";
import { loadConfig } from "../../../../shared/program/config.ts";
import { flagOf } from "../../../../shared/program/setting.ts";

Deno.test("CLUSTER_SETTINGS: each row is a flag that reaches the map, with its bounds", () => {
  for (const [name, row] of settingRows()) {
    const flag = `--${flagOf(row.flag)}`;
    const load = (value: string | number) =>
      loadConfig(COORDINATOR_PROGRAM, {
        args: [`${flag}=${value}`],
        env: () => undefined,
        readFile: () => "",
      });
    assert(Object.hasOwn(COORDINATOR_SETTINGS, row.flag), flag);
    const value = row.kind === "text" ? "somebody" : row.min + 1;
    const loaded = load(value);
    assert(loaded.kind === "run");
    assertEquals(wantedOf(loaded.values)[name], value, flag);
  }
});

Deno.test("standardSettings: what is not given is as in a new cluster, and follows what is given", () => {
  const { byDefault, ...settings } = standardSettings("c", { replicationFactor: 5, leaseMs: 900 });
  assertEquals(byDefault, ["minInSync"]);
  assertEquals([settings.clusterId, settings.replicationFactor, settings.minInSync], ["c", 5, 3]);
  assertEquals([settings.leaseMs, settings.clusterName], [
    900,
    CLUSTER_SETTINGS.clusterName.standard,
  ]);
  assertEquals(standardSettings("c", { minInSync: 1 }).byDefault, undefined);
});

Deno.test("isClusterSettings: every field must be there, in its form", () => {
  const good = { ...clusterSettings({}, undefined, "c") };
  assertEquals(isClusterSettings(good), true);
  assertEquals(isClusterSettings({ ...good, byDefault: undefined }), true);
  for (const [name, { kind }] of settingRows()) {
    const { [name]: _, ...without } = good;
    assertEquals(isClusterSettings(without), false, name);
    for (const wrong of [null, kind === "text" ? 7 : "7", kind === "text" ? "" : 0, -1]) {
      assertEquals(isClusterSettings({ ...good, [name]: wrong }), false, `${name}: ${wrong}`);
    }
  }
  assertEquals(isClusterSettings({ ...good, clusterId: 1 }), false);
  assertEquals(isClusterSettings({ ...good, byDefault: "minInSync" }), false);
});

Deno.test("settingsShown: all of them, by their flags' names in snake case", () => {
  assertEquals(settingsShown(standardSettings("c", {})), {
    cluster_name: "kv",
    partitions: 256,
    replication_factor: 3,
    min_in_sync: 2,
    lease_ms: 1_500,
    heartbeat_interval_ms: 500,
    failure_timeout_ms: 2_500,
  });
});
