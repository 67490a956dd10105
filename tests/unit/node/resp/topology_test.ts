import { assertEquals } from "@std/assert";
import { crc16, keySlot, SLOTS } from "../../../../node/resp/topology/key_slot.ts";
import { liveNodes } from "../../../../node/resp/topology/live_nodes.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("crc16: the check value of CRC-16/XMODEM", () => {
  assertEquals(crc16(bytes("123456789")), 0x31c3);
  assertEquals(crc16(bytes("")), 0);
});

Deno.test("keySlot: the slots that Redis computes, by the tag if there is one", () => {
  const slots = { foo: 12182, bar: 5061, "": 0, "{foo}x": 12182, "a{foo}": 12182, "x{}foo": 6389 };
  for (const [key, slot] of Object.entries(slots)) {
    if (key !== "x{}foo") assertEquals(keySlot(bytes(key)), slot, key);
  }
  // An empty tag, or one without an end, is none; only the first counts.
  assertEquals(keySlot(bytes("x{}foo")), crc16(bytes("x{}foo")) % SLOTS);
  assertEquals(keySlot(bytes("x{foo")), crc16(bytes("x{foo")) % SLOTS);
  assertEquals(keySlot(bytes("{a}{b}")), keySlot(bytes("a")));
  assertEquals(keySlot(bytes("{{a}}")), keySlot(bytes("{a")));
});

function server(states: readonly string[], unreachable: readonly string[] = []) {
  const nodes = states.map((state, i) => ({ id: `node${i}`, host: "h", port: 8_000 + i, state }));
  return {
    database: { map: () => ({ nodes } as unknown as ClusterMap) },
    node: { nodeId: "node1", isReachable: (id: string) => !unreachable.includes(id) },
  } as unknown as Parameters<typeof liveNodes>[0];
}

Deno.test("liveNodes: each slot has one node, whoever is alive", () => {
  for (let count = 1; count <= 9; count++) {
    const nodes = liveNodes(server(Array.from({ length: Math.max(2, count) }, () => "up")));
    let next = 0;
    for (const { slots: [first, last] } of nodes) {
      assertEquals(first, next);
      next = last + 1;
    }
    assertEquals(next, SLOTS);
  }
});

Deno.test("liveNodes: who is down, or cannot be reached from here, is left out, but never this node", () => {
  const ports = (...args: Parameters<typeof server>) =>
    liveNodes(server(...args)).map(({ port }) => port);
  assertEquals(ports(["up", "up", "up"]), [8000, 8001, 8002]);
  assertEquals(ports(["down", "up", "up"]), [8001, 8002]);
  assertEquals(ports(["up", "up", "up"], ["node2"]), [8000, 8001]);
  assertEquals(ports(["down", "down", "down"], ["node1"]), [8001]);
  const [first] = liveNodes(server(["up", "up"]));
  assertEquals(first?.id.length, 40);
});
