import { assertEquals, assertThrows } from "@std/assert";
import {
  CLUSTER_DIFFERENCES,
  type ClusterDocument,
  parseClusterDocument,
} from "../../../../coordinator/state/cluster_document.ts";
import {
  clusterIdOf,
  newClusterRecord,
  withSecurity,
} from "../../../../coordinator/state/coordinator_record.ts";
import { blankRecord } from "../../../../coordinator/register/register_record.ts";
import { newCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { newSecurityDocument } from "../../../../shared/security/security_document.ts";
import { HASH, SEAL_KEY } from "../../../support/data/security_samples.ts";
import { infoFor } from "../../../support/worlds/coordinator_state.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

const SECURITY = newSecurityDocument(
  { certificate: "", key: "", sealKey: SEAL_KEY },
  { name: "admin", passwordHash: HASH },
);
const cluster = newCluster(SETTINGS);
const BASE: ClusterDocument = {
  cluster: { ...cluster, map: { ...cluster.map, epoch: 4 } },
  security: SECURITY,
};

/** As it comes from a disk or another coordinator. */
function wire<T>(value: T): unknown {
  return JSON.parse(JSON.stringify(value));
}

function next(change: Partial<ClusterDocument["cluster"]["map"]>): ClusterDocument {
  const { map } = BASE.cluster;
  return {
    ...BASE,
    cluster: { ...BASE.cluster, map: { ...map, epoch: map.epoch + 1, ...change } },
  };
}

Deno.test("parseClusterDocument: gives back what was kept, and refuses damage", () => {
  assertEquals(wire(parseClusterDocument(wire(BASE))), wire(BASE));
  const open = { ...BASE, security: undefined };
  assertEquals(wire(parseClusterDocument(wire(open))), wire(open));
  for (const value of [undefined, [], {}, { cluster: {} }, { ...BASE, security: 1 }]) {
    assertThrows(() => parseClusterDocument(value), KvError);
  }
});

Deno.test("CLUSTER_DIFFERENCES: applied to its base it is the next document, through JSON", () => {
  const partitions = BASE.cluster.map.partitions.map((config, i) =>
    i === 2 ? { term: 1, primary: "a", inSync: ["a"], learners: [] } : config
  );
  const documents: ClusterDocument[] = [
    next({}),
    next({ generation: "g2", nodes: [infoFor("a")], partitions }),
    { ...next({}), security: { ...SECURITY, version: 9 } },
    { ...next({}), cluster: { ...next({}).cluster, fresh: [1, 2], leaseMsMax: 9_000 } },
    // A user was added, and nothing about the cluster.
    { ...BASE, security: { ...SECURITY, version: 2 } },
  ];
  for (const document of documents) {
    const difference = CLUSTER_DIFFERENCES.between(BASE, document);
    const base = parseClusterDocument(wire(BASE));
    assertEquals(wire(CLUSTER_DIFFERENCES.apply(base, wire(difference))), wire(document));
  }
});

Deno.test("CLUSTER_DIFFERENCES: of a large map only what has changed; other settings go whole", () => {
  const partitions = Array.from(
    { length: 4_096 },
    () => ({ term: 1, primary: "a", inSync: ["a"], learners: [] }),
  );
  const settings = { ...SETTINGS, partitionCount: 4_096 };
  const map = { ...BASE.cluster.map, settings, nodes: [infoFor("a")], partitions };
  const large = { ...BASE, cluster: { ...BASE.cluster, map } };
  const changed = partitions.with(7, { term: 2, primary: "a", inSync: ["a"], learners: [] });
  const after = {
    ...large,
    cluster: { ...large.cluster, map: { ...map, epoch: 5, partitions: changed } },
  };
  const difference = JSON.stringify(CLUSTER_DIFFERENCES.between(large, after));
  assertEquals(difference.length < 1_000, true, `${difference.length}`);
  const other = next({ settings: { ...SETTINGS, leaseMs: SETTINGS.leaseMs + 1 } });
  assertEquals(CLUSTER_DIFFERENCES.between(BASE, other), undefined);
});

Deno.test("CLUSTER_DIFFERENCES.apply: what is no difference of the document is refused", () => {
  const later = next({});
  const twice = CLUSTER_DIFFERENCES.between(later, {
    ...later,
    cluster: { ...later.cluster, map: { ...later.cluster.map, epoch: 6 } },
  });
  for (const value of [undefined, {}, { map: { fromEpoch: 4 } }, twice]) {
    assertThrows(() => CLUSTER_DIFFERENCES.apply(BASE, value), KvError);
  }
});

Deno.test("withSecurity: only the one coordinator of a cluster changes users while it does not run", () => {
  const member = { id: "c1", folder: "f1", address: { host: "h", port: 1 } };
  const record = newClusterRecord(member, { clusterId: "k", settings: { partitionCount: 4 } });
  assertEquals([clusterIdOf(record), clusterIdOf(undefined)], ["k", undefined]);
  const secured = withSecurity(record, SECURITY);
  assertEquals(secured.accepted?.document.body.security, SECURITY);
  // A later document than the one before, for whoever compares.
  assertEquals(secured.accepted?.stamp.revision, 2);
  assertEquals(secured.promised?.number, 2);
  const { accepted } = record;
  if (accepted === undefined) throw new Error("a new cluster has a document");
  const voters = [member, { ...member, id: "c2", folder: "f2" }];
  const set = { voters, joint: false };
  const ofTwo = { ...record, accepted: { ...accepted, document: { ...accepted.document, set } } };
  for (const one of [ofTwo, blankRecord<ClusterDocument>("c1", "f1")]) {
    const error = assertThrows(() => withSecurity(one, SECURITY), KvError);
    assertEquals(error.code, "bad_config");
  }
});
