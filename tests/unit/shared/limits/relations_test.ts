// The import asserts the relations between bounds of different subjects.
import "../../../../shared/limits/relations.ts";
import { assertEquals } from "@std/assert";
import {
  PARTITION_SHARE_MAX,
  PARTITION_SHARE_MIN,
  partitionShare,
} from "../../../../shared/limits/storage.ts";

Deno.test("partitionShare: the node's bound is shared, within the bounds of one partition", () => {
  assertEquals(partitionShare(262_144, 256), 1_024);
  assertEquals(partitionShare(262_144, 65_536), PARTITION_SHARE_MIN);
  assertEquals(partitionShare(262_144, 1), PARTITION_SHARE_MAX);
});
