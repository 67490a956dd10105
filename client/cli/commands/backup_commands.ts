/**
 * The commands `backup` and `restore`.
 *
 * @module
 */
import { databaseNumberOf, keyPrefixOf, userKeyOf } from "../../../shared/cluster/databases.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { Entry } from "../../../shared/base/entry.ts";
import { fromErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { Secret } from "../../../shared/base/secret.ts";
import { described, flag, optional, text } from "../../../shared/schema/fields.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { wordField } from "../../../shared/arguments/word_fields.ts";
import { type Backup, type ByteSource, openBackup } from "../../backup/backup_reader.ts";
import { EncryptedWriter, isEncrypted, openEncrypted } from "../../backup/encrypted_backup.ts";
import { type BackupSecret, checkPassphrase, parseKey } from "../../backup/encryption_format.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { readSecret } from "../command/secrets.ts";
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
const PASSPHRASE_FILE = wordField(
  "passphrase_file",
  described(
    "The file whose first line is the passphrase of an encrypted backup, - for standard input; without it, it is " +
      "asked for",
    optional(text),
  ),
);
const KEY_FILE = wordField(
  "key_file",
  described(
    "The file with the key of an encrypted backup: 32 random bytes in base64 or hexadecimal",
    optional(text),
  ),
);
const ENCRYPT = wordField(
  "encrypt",
  described("Encrypt the backup, by a passphrase or by --key-file", optional(flag), {
    fallback: "false",
  }),
);
const BACKUP_OWN = [OVERWRITE, ENCRYPT, PASSPHRASE_FILE, KEY_FILE] as const;
const RESTORE_OWN = [INTO_LIVING, PASSPHRASE_FILE, KEY_FILE] as const;

/** The options of an encrypted backup. */
interface SecretOptions {
  readonly encrypt?: boolean;
  readonly passphrase_file?: string;
  readonly key_file?: string;
}

/** The rows of the table. */
export const BACKUP_COMMANDS: readonly Command[] = [
  {
    name: "backup",
    arguments: [{ name: "FILE" }],
    own: BACKUP_OWN,
    options: ["giveUpAfterMs", "json"],
    help: "write all keys to a file: each partition as of one moment, compressed, with checksums",
    example: "backup monday.kvb",
    run: backup,
  },
  {
    name: "restore",
    arguments: [{ name: "FILE" }],
    own: RESTORE_OWN,
    options: ["giveUpAfterMs", "timeoutMs", "acks", "json"],
    help: "check a backup file, and load it into an empty cluster of any size",
    example: "restore monday.kvb",
    run: restore,
  },
];

async function backup(args: readonly Word[], context: CommandContext): Promise<number> {
  const path = args[0]?.text ?? "";
  const { clock, io, settings, signal } = context;
  const options: SecretOptions = ownValues("backup", BACKUP_OWN, context.given);
  const secret = isEncryptionWanted(options)
    ? await backupSecret("backup", options, true, context)
    : undefined;
  const client = await context.client();
  const beganMs = clock.monotonicMs();
  const file = await createFile("backup", path, context);
  let progress: ReturnType<typeof io.progress>;
  let summary;
  try {
    const encrypted = secret === undefined
      ? undefined
      : await EncryptedWriter.begin((bytes) => file.write(bytes), secret, context.random);
    const to = encrypted ?? file;
    summary = await client.backup((bytes) => to.write(bytes), {
      giveUpAfterMs: settings.giveUpAfterMs,
      signal,
      onProgress({ partitions, of, entries, bytes }) {
        progress ??= io.progress(of);
        const text = `${count(entries)} keys, ${size(bytes)}; ${partitions} of ${of} partitions`;
        progress?.update(partitions, text);
      },
    });
    await encrypted?.end();
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
  const options: SecretOptions & { into_living?: boolean } = ownValues(
    "restore",
    RESTORE_OWN,
    context.given,
  );
  const intoLiving = options.into_living === true;
  const file = await io.openAnywhere(path).catch((cause) => {
    const text = `restore: cannot read ${path} (${systemReason(cause)})`;
    throw new KvError("bad_request", text, { cause });
  });
  let found: Backup;
  let summary: RestoreSummary;
  try {
    const plain = await decrypted(file, path, options, context);
    const checking = io.progress(plain.bytes);
    try {
      found = await openBackup(plain, (bytes) => checking?.update(bytes, "checking the file"));
    } finally {
      checking?.stop();
    }
    const client = await context.client();
    if (!intoLiving) {
      await refuseLiving(client, context);
      for (const { name } of found.header.databases ?? []) {
        const isThere = (await client.databases()).some((database) => database.name === name);
        if (isThere) await refuseLiving(client.database(name), context);
      }
    }
    await client.announce("restore", { timeoutMs: settings.timeoutMs, signal: context.signal });
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

function isEncryptionWanted({ encrypt, passphrase_file, key_file }: SecretOptions): boolean {
  return encrypt === true || passphrase_file !== undefined || key_file !== undefined;
}

/** @throws {KvError} `bad_request` if there is none, or it is too weak */
async function backupSecret(
  command: string,
  { passphrase_file: file, key_file: keyFile }: SecretOptions,
  isNew: boolean,
  { io, signal }: CommandContext,
): Promise<BackupSecret> {
  if (keyFile !== undefined && file !== undefined) {
    throw new KvError("bad_request", `${command}: give --passphrase-file or --key-file, not both`);
  }
  if (keyFile !== undefined) {
    const source = { file: keyFile, option: "--key-file", question: "Key", isNew: false };
    return { kind: "key", bytes: parseKey(await readSecret(io, source, signal)) };
  }
  const source = { file, option: "--passphrase-file", question: "Passphrase", isNew };
  const text = await readSecret(io, source, signal);
  if (isNew) checkPassphrase(text);
  return { kind: "passphrase", text: new Secret(text) };
}

/** The backup in a file, decrypted if it is encrypted. */
async function decrypted(
  file: ByteSource,
  path: string,
  options: SecretOptions,
  context: CommandContext,
): Promise<ByteSource> {
  if (await isEncrypted(file)) {
    return await openEncrypted(file, await backupSecret("restore", options, false, context));
  }
  // Whoever expects an encrypted file expects that nobody else has made it.
  if (isEncryptionWanted(options)) {
    throw new KvError(
      "bad_request",
      `restore: ${path} is not encrypted, and a passphrase or key was given; if it is the right file, leave that out`,
    );
  }
  return file;
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
  const databases = await makeDatabases(found, client, { settings, signal });
  const target: RestoreTarget = {
    groupOf(key) {
      const number = databaseNumberOf(key) ?? 0;
      if (number === 0) return String(partitionOf(key, partitionCount));
      const database = databases.get(number);
      if (database === undefined) return undefined;
      return `${number}/${partitionOf(database.prefix + userKeyOf(key), partitionCount)}`;
    },
    async putInOrder(entries) {
      const [first] = entries;
      if (first === undefined) return;
      const { timeoutMs, acks } = settings;
      const request: KeyRequest = {
        req_type: "transaction",
        key: userKeyOf(first.key),
        requests: entries.map(putOf),
      };
      const database = databases.get(databaseNumberOf(first.key) ?? 0)?.client ?? client;
      const reply = await database.execute(request, { timeoutMs, acks, signal });
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

/** The databases of a backup, by their numbers there; those that the cluster lacks are made. */
async function makeDatabases(
  { header }: Backup,
  client: KvClient,
  { settings, signal }: Pick<CommandContext, "settings" | "signal">,
): Promise<Map<number, { readonly client: KvClient; readonly prefix: string }>> {
  const made = new Map<number, { client: KvClient; prefix: string }>();
  for (const { name, number, placement, max_keys, max_bytes } of header.databases ?? []) {
    const { number: ours, placement: there } = await client.createDatabase(name, {
      timeoutMs: settings.timeoutMs,
      signal,
      together: placement === "together",
      maxKeys: max_keys,
      maxBytes: max_bytes,
      ifAbsent: true,
    });
    const prefix = keyPrefixOf({
      number: ours,
      ...(there === "together" ? { together: true } : {}),
    });
    made.set(number, { client: client.database(name), prefix });
  }
  return made;
}

function putOf({ key, value, expiresAtMs, contentType }: Entry) {
  return {
    req_type: "put",
    key: userKeyOf(key),
    bytes: value,
    ...(expiresAtMs === 0 ? {} : { expires_at: expiresAtMs }),
    ...(contentType === undefined ? {} : { content_type: contentType }),
  } as const;
}

function seconds(elapsedMs: number): string {
  return `${(elapsedMs / 1_000).toFixed(1)} s`;
}
