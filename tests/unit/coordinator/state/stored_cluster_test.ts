import { assertEquals, assertThrows } from "@std/assert";
import { newCluster, parseStoredCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

Deno.test("parseStoredCluster: gives back what was stored", () => {
  const stored = newCluster(SETTINGS);
  const parsed = parseStoredCluster(JSON.parse(JSON.stringify(stored)));
  assertEquals(JSON.stringify(parsed), JSON.stringify(stored));
});

Deno.test("parseStoredCluster: a document from before leaseMsMax has its map's lease", () => {
  const { leaseMsMax: _, ...older } = newCluster(SETTINGS);
  assertEquals(parseStoredCluster(older).leaseMsMax, SETTINGS.leaseMs);
});

Deno.test("parseStoredCluster: refuses other formats and damage", () => {
  const good = JSON.parse(JSON.stringify(newCluster(SETTINGS)));
  const rows: [unknown, string][] = [
    [null, "corrupt"],
    [[], "corrupt"],
    ["x", "corrupt"],
    [{ ...good, format: 2 }, "wrong_version"],
    [{ ...good, map: undefined }, "corrupt"],
    [{ ...good, members: undefined }, "corrupt"],
    [{ ...good, fresh: 1 }, "corrupt"],
    [{ ...good, leaseMsMax: null }, "corrupt"],
    [{ ...good, leaseMsMax: SETTINGS.leaseMs - 1 }, "corrupt"],
    [{ ...good, map: { ...good.map, partitions: [] } }, "corrupt"],
    [{ ...good, map: { ...good.map, epoch: "1" } }, "corrupt"],
    [{ ...good, map: { ...good.map, nodes: [{}] } }, "corrupt"],
    [{ ...good, map: { ...good.map, partitions: good.map.partitions.map(() => ({})) } }, "corrupt"],
  ];
  for (const [document, code] of rows) {
    const error = assertThrows(() => parseStoredCluster(document), KvError);
    assertEquals(error.code, code, JSON.stringify(document)?.slice(0, 80));
  }
});
