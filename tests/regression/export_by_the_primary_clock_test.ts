/**
 * An export left out living keys if the client's clock was ahead: it judged once more whether they had
 * expired, although their primary decides that (W7 of docs/replication.md). Found by a review.
 */
import { assertEquals } from "@std/assert";
import { runExport } from "../../client/transfer/export_run.ts";
import { KvClient } from "../../client/library/kv_client.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import { FakeCluster } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const HOUR_MS = 3_600_000;

Deno.test("KvClient.scan gives what the primary gives, whatever the client's own clock says", async () => {
  const cluster = new FakeCluster();
  // The cluster's date is 1,000.
  const client = new KvClient({ clock: new ManualClock(1_000 + 2 * HOUR_MS), router: cluster });
  cluster.fault = (request) => {
    if (request.req_type !== "scan_node") return undefined;
    const times = { timestampMs: 1_000, expiresAtMs: 1_000 + HOUR_MS };
    const value = new Uint8Array(1);
    const entry = { key: "session", seq: 1, term: 1, flags: 0, ...times, value };
    const entries = [toWireEntry(entry)];
    return { req_type: "entries", entries, partitions: request.partitions ?? "" };
  };
  const summary = await runExport(client.scan(), () => Promise.resolve());
  assertEquals(summary.keys, 1);
});
