import { assertEquals } from "@std/assert";
import type { Outcome } from "../../../../coordinator/register/register.ts";
import type { ClusterDocument } from "../../../../coordinator/state/cluster_document.ts";
import { DocumentComposer } from "../../../../coordinator/state/document_composer.ts";
import { newCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { newSecurityDocument } from "../../../../shared/security/security_document.ts";
import { HASH, SEAL_KEY } from "../../../support/data/security_samples.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

const CLUSTER = newCluster(SETTINGS);
const SECURITY = newSecurityDocument(
  { certificate: "", key: "", sealKey: SEAL_KEY },
  { name: "admin", passwordHash: HASH },
);
const generation = { number: 1, coordinator: "c1", run: "r" };

function setUp() {
  const written: { next: ClusterDocument; revision: number; done: (outcome: Outcome) => void }[] =
    [];
  const said: string[] = [];
  const register = {
    compareAndSet: (
      { revision }: { revision: number },
      next: ClusterDocument,
      done: (outcome: Outcome) => void,
    ) => void written.push({ next, revision, done }),
  };
  const held = {
    stamp: { generation, revision: 1 },
    document: { cluster: CLUSTER, security: SECURITY },
  };
  const composer = new DocumentComposer(register, held, (reason) => void said.push(reason));
  const choose = (i: number, revision: number) =>
    written[i]?.done({ type: "chosen", stamp: { generation, revision } });
  const cluster = (leaseMsMax: number) =>
    composer.writeCluster(
      { ...CLUSTER, leaseMsMax },
      () => void said.push(`cluster ${leaseMsMax}`),
    );
  const security = (version: number) =>
    composer.writeSecurity(
      { ...SECURITY, version },
      () => void said.push(`security ${version}`),
    );
  const shown = () =>
    written.map(({ next, revision }) => [
      revision,
      next.cluster.leaseMsMax,
      next.security?.version,
    ]);
  return { composer, written, said, choose, cluster, security, shown };
}

Deno.test("DocumentComposer: one write at a time; what both parts hand in meanwhile goes with the next", () => {
  const { cluster, security, choose, shown, said } = setUp();
  cluster(7_001);
  cluster(7_002);
  security(2);
  assertEquals([shown(), said], [[[1, 7_001, 1]], []]);
  choose(0, 2);
  assertEquals([shown()[1], said], [[2, 7_002, 2], ["cluster 7001"]]);
  choose(1, 3);
  assertEquals(said, ["cluster 7001", "cluster 7002", "security 2"]);
  // Each goes on from what the other has written.
  security(3);
  assertEquals(shown()[2], [3, 7_002, 3]);
});

Deno.test("DocumentComposer: what is not chosen is told to nobody, and ends the activity", () => {
  for (const type of ["changed", "lost"] as const) {
    const { cluster, written, said } = setUp();
    cluster(7_001);
    written[0]?.done({ type });
    assertEquals([said.length, said[0]?.startsWith("a change was not chosen")], [1, true]);
  }
});

Deno.test("DocumentComposer.close: nobody is told anything any more", () => {
  const { composer, cluster, security, choose, written, said } = setUp();
  cluster(7_001);
  composer.close();
  security(2);
  choose(0, 2);
  assertEquals([written.length, said], [1, []]);
});
