/**
 * Alerts whose reasons are in the data or in certificates, seen by a real Prometheus that scrapes real processes: a
 * follower that does not follow, a damaged last replica, a certificate that nobody renews.
 */
import { assert } from "@std/assert";
import { needing } from "../../support/needs.ts";
import { OF_THE_MACHINE, PROMETHEUS, Prometheus } from "../../support/prometheus.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const WRITES = 1_000;

Deno.test({
  ...needing(
    "alerts: a follower that stands still while nobody can give it up is behind, and leaves partitions unserved",
    PROMETHEUS,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 2,
      replicationFactor: 2,
      minInSync: 1,
    });
    await using kv = await cluster.connect();
    await kv.put("k", "v");
    await using prometheus = await Prometheus.start([cluster.nodeHttpAddress(0).port]);
    await prometheus.untilQuiet(OF_THE_MACHINE);

    await cluster.coordinatorProcess.crash();
    const { pid } = cluster.node(1);
    Deno.kill(pid, "SIGSTOP");
    const writing = Array.from(
      { length: WRITES },
      (_, i) => kv.put(`k${i}`, "v", { timeoutMs: 10_000 }).catch(() => {}),
    );
    try {
      await prometheus.until("KvReplicationBehind");
      // Once its silence has ended the connection to it.
      await prometheus.until("KvPartitionsUnserved");
    } finally {
      Deno.kill(pid, "SIGCONT");
    }
    await cluster.restartCoordinator();
    await prometheus.untilNot("KvPartitionsUnserved", "KvReplicationBehind");
    await Promise.all(writing);
  },
});

/** Changes a byte in the middle of what a node's journal has. */
async function damageJournal(folder: string): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).toSorted();
  const path = `${folder}/${names[0]}`;
  const bytes = await Deno.readFile(path);
  // What it has taken in advance is zeros.
  const length = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const at = Math.floor(length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  await Deno.writeFile(path, bytes);
}

Deno.test({
  ...needing("alerts: a last replica that is damaged is said until somebody decides", PROMETHEUS),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
    });
    await using kv = await cluster.connect();
    for (let i = 0; i < 200; i++) await kv.put(`k${i}`, "v");
    await using prometheus = await Prometheus.start([cluster.coordinatorFacts.http ?? 0]);
    await prometheus.untilQuiet(OF_THE_MACHINE);
    await cluster.crash(0);
    await damageJournal(`${cluster.folder}/node-0/journal`);
    await cluster.restart(0);
    await prometheus.until("KvReplicasDamaged");
  },
});

Deno.test({
  ...needing("alerts: a certificate that nobody renews is said before it ends", PROMETHEUS),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
      secured: true,
      coordinatorFlags: ["--certificate-lifetime-ms=150000"],
    });
    const { credentials } = cluster;
    assert(credentials !== undefined);
    // It begins five minutes before it is made: a quarter of its whole time is left after 38 s.
    await using prometheus = await Prometheus.start(
      [cluster.nodeHttpAddress(0).port],
      credentials,
    );
    await prometheus.untilQuiet(OF_THE_MACHINE);
    await cluster.coordinatorProcess.crash();
    await prometheus.until("KvCertificateEnds");
  },
});
