/**
 * The commands `backup` and `restore`.
 *
 * @module
 */
import type { Entry } from "../../../shared/base/entry.ts";
import { fromErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { wordField } from "../../../shared/arguments/word_fields.ts";
import { type Backup, openBackup } from "../../backup/backup_reader.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import type { KvClient } from "../../library/kv_client.ts";
import { count, size, systemReason } from "../command/output.ts";
import { createFile, OVERWRITE } from "../command/output_file.ts";
import { type RestoreSummary, type RestoreTarget, runRestore } from "../../backup/restore.ts";

const INTO_LIVING = wordField(
  "into_living",
  described("Write into a cluster that is not empty, over existing keys", optional(flag), {
    fallback: "false",
  }),
);
const OWN = [INTO_LIVING] as const;

/** The rows of the table. */
export const BACKUP_COMMANDS: readonly Command[] = [
  {
    name: "backup",
    arguments: [{ name: "FILE" }],
    own: [OVERWRITE],
    options: ["giveUpAfterMs", "json"],
    help: "write all keys to a file: each partition as of one moment, compressed, with checksums",
    example: "backup monday.kvb",
    run: backup,
  },
  {
    name: "restore",
    arguments: [{ name: "FILE" }],
    own: OWN,
    options: ["giveUpAfterMs", "timeoutMs", "acks", "json"],
    help: "check a backup file, and load it into an empty cluster of any size",
    example: "restore monday.kvb",
    run: restore,
  },
];

async function backup(args: readonly Word[], context: CommandContext): Promise<number> {
  const path = args[0]?.text ?? "";
  const { clock, io, settings, signal } = context;
  const client = await context.client();
  const beganMs = clock.monotonicMs();
  const file = await createFile("backup", path, context);
  let progress: ReturnType<typeof io.progress>;
  let summary;
  try {
    summary = await client.backup((bytes) => file.write(bytes), {
      giveUpAfterMs: settings.giveUpAfterMs,
      signal,
      onProgress({ partitions, of, entries, bytes }) {
        progress ??= io.progress(of);
        const text = `${count(entries)} keys, ${size(bytes)}; ${partitions} of ${of} partitions`;
        progress?.update(partitions, text);
      },
    });
    await file.finish();
  } catch (error) {
    await file.abandon().catch(() => {});
    io.note(`backup: ${path} was not written`);
    throw error;
  } finally {
    progress?.stop();
  }
  const elapsedMs = Math.round(clock.monotonicMs() - beganMs);
  const { partitions, entries, bytes } = summary;
  await io.write(
    settings.json
      ? JSON.stringify({ file: path, ...summary, elapsedMs }) + "\n"
      : `backup: ${count(entries)} keys of ${partitions} partitions, ${size(bytes)} in ${
        seconds(elapsedMs)
      }\n`,
  );
  return EXIT.ok;
}

async function restore(args: readonly Word[], context: CommandContext): Promise<number> {
  const path = args[0]?.text ?? "";
  const { clock, io, settings } = context;
  const beganMs = clock.monotonicMs();
  const intoLiving = ownValues("restore", OWN, context.given).into_living === true;
  const file = await io.openAnywhere(path).catch((cause) => {
    const text = `restore: cannot read ${path} (${systemReason(cause)})`;
    throw new KvError("bad_request", text, { cause });
  });
  let found: Backup;
  let summary: RestoreSummary;
  try {
    const checking = io.progress(file.bytes);
    try {
      found = await openBackup(file, (bytes) => checking?.update(bytes, "checking the file"));
    } finally {
      checking?.stop();
    }
    const client = await context.client();
    if (!intoLiving) await refuseLiving(client, context);
    summary = await write(found, client, context);
  } finally {
    file.close();
  }
  const elapsedMs = Math.round(clock.monotonicMs() - beganMs);
  const { clusterName, clusterId, createdMs } = found.header;
  const { written, bytes, expired, retries } = summary;
  const from = new Date(createdMs).toISOString();
  await io.write(
    settings.json
      ? JSON.stringify({
        file: path,
        cluster: clusterName,
        clusterId,
        createdMs,
        written,
        bytes,
        expired,
        retries,
        elapsedMs,
      }) + "\n"
      : `restore: ${count(written)} keys, ${size(bytes)} of cluster ${clusterName}, ${from}, in ${
        seconds(elapsedMs)
      }${expired === 0 ? "" : `; ${count(expired)} had expired`}\n`,
  );
  return EXIT.ok;
}

/** @throws {KvError} `exists` if there is a key */
async function refuseLiving(client: KvClient, { settings, signal }: CommandContext) {
  for await (const key of client.keys({ limit: 1, timeoutMs: settings.timeoutMs, signal })) {
    throw new KvError(
      "exists",
      `restore: the cluster is not empty (it has the key ${JSON.stringify(key.slice(0, 64))}); ` +
        "nothing was written. --into-living overwrites existing keys",
    );
  }
}

async function write(
  found: Backup,
  client: KvClient,
  { clock, io, settings, signal }: CommandContext,
): Promise<RestoreSummary> {
  const { settings: { partitionCount } } = await client.clusterMap();
  const target: RestoreTarget = {
    partitionCount,
    async putInOrder(entries) {
      const [first] = entries;
      if (first === undefined) return;
      const { timeoutMs, acks } = settings;
      const request: KeyRequest = {
        req_type: "transaction",
        key: first.key,
        requests: entries.map(putOf),
      };
      const reply = await client.execute(request, { timeoutMs, acks, signal });
      const results = reply.req_type === "result" ? reply.result as readonly Reply[] : [];
      const refused = results.find((one) => one.req_type === "error");
      if (refused?.req_type === "error") throw fromErrorReply(refused);
    },
  };
  const progress = io.progress(found.entries);
  try {
    return await runRestore(found, target, { clock }, {
      giveUpAfterMs: settings.giveUpAfterMs,
      signal,
      onProgress({ written, expired, bytes }) {
        progress?.update(written + expired, `${count(written)} keys, ${size(bytes)} written`);
      },
    });
  } catch (error) {
    io.note("restore: a part was written; run it again with --into-living to write all of it");
    throw error;
  } finally {
    progress?.stop();
  }
}

function putOf({ key, value, expiresAtMs, contentType }: Entry) {
  return {
    req_type: "put",
    key,
    bytes: value,
    ...(expiresAtMs === 0 ? {} : { expires_at: expiresAtMs }),
    ...(contentType === undefined ? {} : { content_type: contentType }),
  } as const;
}

function seconds(elapsedMs: number): string {
  return `${(elapsedMs / 1_000).toFixed(1)} s`;
}
