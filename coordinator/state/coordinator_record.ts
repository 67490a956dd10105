/**
 * A coordinator's record (`register_record.ts`) with the cluster's document in it: that of a new cluster, and as it is
 * read from a disk.
 *
 * @module
 */
import { failureOf, KvError } from "../../shared/base/errors.ts";
import type { DocumentStore } from "../../shared/platform/document_store.ts";
import type { SecurityDocument } from "../../shared/security/security_document.ts";
import { type CoordinatorMember, isAlone } from "../register/coordinator_set.ts";
import { firstRecord, parseRecord, type RegisterRecord } from "../register/register_record.ts";
import { type ClusterDocument, parseClusterDocument } from "./cluster_document.ts";
import { clusterSettings, type WantedSettings } from "./cluster_settings.ts";
import { newCluster } from "./stored_cluster.ts";

/** The name of the file in the coordinator's folder. */
export const RECORD_FILE = "register.json";
/** The name of a cluster's first coordinator, if it is given none. */
export const FIRST_ID = "c1";

/** The record. */
export type CoordinatorRecord = RegisterRecord<ClusterDocument>;

/**
 * The record of the first coordinator of a new cluster.
 *
 * @param security of a secured cluster
 * @throws {KvError} `bad_config` if the settings contradict each other
 */
export function newClusterRecord(
  member: CoordinatorMember,
  { clusterId, settings, security }: {
    clusterId: string;
    settings: WantedSettings;
    security?: SecurityDocument | undefined;
  },
): CoordinatorRecord {
  const cluster = newCluster(clusterSettings(settings, undefined, clusterId));
  return firstRecord(member, { cluster, security });
}

/** The id of the cluster whose document a record has; undefined if it has none yet. */
export function clusterIdOf(record: CoordinatorRecord | undefined): string | undefined {
  return record?.accepted?.document.body.cluster.map.settings.clusterId;
}

/**
 * The record with other users and certificates, as an operator's order while the coordinator does not run. Only of
 * the one coordinator of a cluster: others would not know of it.
 *
 * @throws {KvError} `bad_config` if there are others, or no document
 */
export function withSecurity(
  record: CoordinatorRecord,
  security: SecurityDocument,
): CoordinatorRecord {
  const { accepted, promised, folder, id } = record;
  if (accepted === undefined || !isAlone(accepted.document.set, folder)) {
    throw new KvError(
      "bad_config",
      "users can be changed in the folder only while there is one coordinator; with others, give the order to " +
        "them while they run",
    );
  }
  const { stamp, document: { set, body } } = accepted;
  const number = Math.max(promised?.number ?? 0, stamp.generation.number) + 1;
  const generation = { number, coordinator: id, run: "" };
  return {
    ...record,
    promised: generation,
    accepted: {
      stamp: { generation, revision: stamp.revision + 1 },
      document: { set, body: { ...body, security } },
    },
  };
}

/** @returns undefined if there is none yet. @throws {KvError} `corrupt`, `wrong_version`, `storage_failed` */
export async function readRecord(store: DocumentStore): Promise<CoordinatorRecord | undefined> {
  try {
    const value = await store.read();
    return value === undefined ? undefined : parseRecord(value, parseClusterDocument);
  } catch (cause) {
    const { code, message } = failureOf(cause);
    if (code !== "corrupt") throw cause;
    throw new KvError(
      code,
      `the coordinator's record is damaged: ${message}; put back a copy of its folder`,
      { cause },
    );
  }
}
