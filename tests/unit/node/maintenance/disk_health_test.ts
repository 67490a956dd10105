import { assertEquals } from "@std/assert";
import { DISK_FAILED_MS, DISK_WELL_MS } from "../../../../shared/limits/storage.ts";
import { DiskHealth } from "../../../../node/maintenance/disk_health.ts";

Deno.test("DiskHealth: one failure is no verdict, a lasting one is", () => {
  const disk = new DiskHealth();
  assertEquals([disk.look(true, 0), disk.failingMs(50), disk.writable], [false, 50, true]);
  assertEquals([disk.look(false, 100), disk.failingMs(100), disk.writable], [false, 0, true]);
  assertEquals([disk.look(true, 200), disk.writable], [false, true]);
  assertEquals([disk.look(true, 200 + DISK_FAILED_MS), disk.writable], [true, false]);
});

Deno.test("DiskHealth: a disk is well when nothing has failed for a while, so that it does not flap", () => {
  const disk = new DiskHealth();
  disk.look(true, 0);
  assertEquals(disk.look(true, DISK_FAILED_MS), true);
  assertEquals(disk.look(false, DISK_FAILED_MS + DISK_WELL_MS - 1), false);
  // It fails once more: the time begins again.
  assertEquals(disk.look(true, DISK_FAILED_MS + DISK_WELL_MS), false);
  assertEquals(disk.look(false, DISK_FAILED_MS + 2 * DISK_WELL_MS - 1), false);
  assertEquals(disk.look(false, DISK_FAILED_MS + 2 * DISK_WELL_MS), true);
  assertEquals(disk.writable, true);
});
