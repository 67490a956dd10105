import { assert, assertEquals } from "@std/assert";
import { joinBytes } from "../../../../shared/base/join_bytes.ts";

Deno.test("joinBytes: pieces one behind the other; a single one as it is", () => {
  const one = new Uint8Array([1, 2]);
  assert(joinBytes([one]) === one);
  assertEquals(joinBytes([one, new Uint8Array(0), new Uint8Array([3])]), new Uint8Array([1, 2, 3]));
  assertEquals(joinBytes([]), new Uint8Array(0));
});
