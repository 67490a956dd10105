import { assertEquals } from "@std/assert";
import type { ClusterMap, NodeInfo } from "../../../../shared/cluster/cluster_map.ts";
import { KvDatabase } from "../../../../shared/denokv/kv_database.ts";
import { isDenosOwn, MetadataLifetimes } from "../../../../shared/denokv/metadata.ts";
import { addressAt, otherNode } from "../../../../shared/denokv/other_node.ts";
import {
  KV_CONNECT_METADATA_MS,
  KV_CONNECT_OTHER_NODE_ANSWERS_MAX,
  KV_CONNECT_OTHER_NODE_MS,
} from "../../../../shared/limits/http.ts";

const DATABASE = new KvDatabase({ name: "app", number: 7, together: true });

function node(id: string, more: Partial<NodeInfo> = {}): NodeInfo {
  const place = { host: id, port: 8081, httpPort: 9081, zone: id, weight: 1 };
  return { id, ...place, incarnation: 1, state: "up", ...more };
}

function mapOf(nodes: NodeInfo[], primary: string | undefined, ...inSync: string[]): ClusterMap {
  const config = { term: 1, primary, inSync, learners: [] };
  const settings = { partitionCount: 1 };
  return { epoch: 1, settings, nodes, partitions: [config] } as unknown as ClusterMap;
}

Deno.test("otherNode: the primary, or who may become it, and never the node that was named", () => {
  const three = [node("a"), node("b"), node("c")];
  const down = { state: "down" } as const;
  const table: [string, ClusterMap, string | undefined][] = [
    ["a", mapOf(three, "c", "c", "b"), "c"],
    ["c", mapOf(three, "c", "c", "b"), "b"],
    ["c", mapOf(three, "c", "c"), "a"],
    ["a", mapOf(three, undefined, "b", "c"), "b"],
    ["a", mapOf(three, undefined), "b"],
    ["a", mapOf([node("a"), node("b", down), node("c")], "b", "b"), "c"],
    ["a", mapOf([node("a"), node("b", { state: "leaving" }), node("c")], "b", "b"), "c"],
    ["a", mapOf([node("a"), node("b", { httpPort: 0 }), node("c")], "b", "b"), "c"],
    ["a", mapOf([node("a"), node("b", down)], "b", "b"), undefined],
    ["a", mapOf([node("a")], "a", "a"), undefined],
    // A worker of the same machine dies with it.
    ["a", mapOf([node("a"), node("b", { host: "a", httpPort: 9082 }), node("c")], "b", "b"), "c"],
    ["a", mapOf([node("a"), node("b", { host: "a", httpPort: 9082 })], "b", "b"), "b"],
    // What leads to this node alone, perhaps.
    ["proxy", mapOf(three, "c", "c", "b"), undefined],
  ];
  for (const [named, map, expected] of table) {
    const url = new URL(`http://${named}:9081/db/app`);
    assertEquals(otherNode(map, DATABASE, url)?.id, expected, `${named} ${JSON.stringify(map)}`);
  }
  const map = mapOf(three, "c", "c");
  for (const url of ["http://a:9082/", "http://a/", "https://a/"]) {
    assertEquals(otherNode(map, DATABASE, new URL(url)), undefined, url);
  }
});

Deno.test("otherNode, addressAt: ports that are usual, IPv6, names in capitals", () => {
  const nodes = [node("a", { httpPort: 443 }), node("b", { host: "::1" })];
  const there = (url: string) => {
    const other = otherNode(mapOf(nodes, "b", "b"), DATABASE, new URL(url));
    return other === undefined ? undefined : addressAt(other, DATABASE, new URL(url));
  };
  assertEquals(there("https://a/x/db/app"), "https://[::1]:9081/db/app");
  assertEquals(there("http://a/db/app"), undefined);
  const back = otherNode(mapOf(nodes, "b", "b"), DATABASE, new URL("http://[::1]:9081/"));
  assertEquals(back?.id, "a");
  const capitals = mapOf([node("a", { host: "Kv-1" }), node("b")], "b", "b");
  assertEquals(otherNode(capitals, DATABASE, new URL("http://KV-1:9081/"))?.id, "b");
});

Deno.test("MetadataLifetimes: a client that asks without a pause is told the long time", () => {
  const lifetimes = new MetadataLifetimes();
  assertEquals(lifetimes.next(false, 0), KV_CONNECT_METADATA_MS);
  for (const startMs of [0, 1_000]) {
    for (let i = 0; i < KV_CONNECT_OTHER_NODE_ANSWERS_MAX; i++) {
      assertEquals(lifetimes.next(true, startMs + i), KV_CONNECT_OTHER_NODE_MS);
    }
    assertEquals(lifetimes.next(true, startMs + 999), KV_CONNECT_METADATA_MS);
    assertEquals(lifetimes.next(false, startMs + 999), KV_CONNECT_METADATA_MS);
  }
});

Deno.test("isDenosOwn: Deno's client, and neither its fetch nor others", () => {
  const table: [Record<string, string>, boolean][] = [
    [{ "user-agent": "Deno/2.9.6" }, true],
    [{ "user-agent": "Deno/2.9.6", "accept-language": "*" }, false],
    [{ "user-agent": "node", "accept-language": "*" }, false],
    [{ "user-agent": "Mozilla Deno/2" }, false],
    [{}, false],
  ];
  for (const [headers, expected] of table) {
    assertEquals(isDenosOwn(new Headers(headers)), expected, JSON.stringify(headers));
  }
});
