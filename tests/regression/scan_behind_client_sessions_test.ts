/**
 * A client session whose name began with the last character there is lay behind where a scan goes on after the client sessions:
 * with more of them than one page looks at, a scan came back to the same place for ever. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import type { NodeScanPage } from "../../node/scans/scan_call.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

const SESSIONS = 1_100;

for (const name of ["session", "\u{10ffff}"]) {
  Deno.test(`a scan comes past client sessions that are named ${JSON.stringify(name)}…`, async () => {
    const cluster = new NodeCluster({ nodes: 1, partitions: 1, replicas: 1 });
    await cluster.startAll();
    for (let i = 0; i < SESSIONS; i++) {
      cluster.node("n1").execute(
        { ...put("z", "v"), session: `${name}${i}`, request_number: 1 },
        () => {},
      );
      if (i % 100 === 99) await cluster.run(50);
    }
    const found: string[] = [];
    let after: string | undefined;
    for (let pages = 0; pages < 20; pages++) {
      let page: NodeScanPage | Message<"error"> | undefined;
      const request = { limit: 100, partitions: PartitionSet.all(1), after };
      cluster.node("n1").scans.scan(request, 4_000, (is) => page = is);
      for (let i = 0; page === undefined && i < 200; i++) await cluster.run(i < 100 ? 0 : 20);
      assert(page !== undefined && !("req_type" in page));
      found.push(...page.entries.map(({ key }) => key));
      after = page.next;
      if (after === undefined) break;
    }
    assertEquals([found, after], [["z"], undefined]);
  });
}
