/**
 * Files of Deno KV through SQLite, which Deno and Node (22.5 and later) have built in. The tables are those that Deno makes
 * (`sqlite/backend.rs` of denoland/denokv, its third migration).
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import type { KvFile, KvFileRow, NewKvFile } from "../transfer/kv_file.ts";
import { systemReason } from "./command/output.ts";

/** The version of the tables that is read and written. */
const MIGRATION = 3;
const PAGE_ROWS = 500;
/** Rows of one transaction. */
const WRITE_ROWS = 10_000;

const TABLES = `
create table migration_state(k integer not null primary key, version integer not null);
insert into migration_state values (0, ${MIGRATION});
create table data_version (k integer primary key, version integer not null, seq integer not null default 0);
create table kv (
  k blob primary key,
  v blob not null,
  v_encoding integer not null,
  version integer not null,
  seq integer not null default 0,
  expiration_ms integer not null default -1
) without rowid;
create index kv_expiration_ms_idx on kv (expiration_ms);
create table queue (
  ts integer not null,
  id text not null,
  data blob not null,
  backoff_schedule text not null,
  keys_if_undelivered blob not null,
  primary key (ts, id)
);
create table queue_running (
  deadline integer not null,
  id text not null,
  data blob not null,
  backoff_schedule text not null,
  keys_if_undelivered blob not null,
  primary key (deadline, id)
);
`;

/** As much of `node:sqlite` as is used; the checker has no types of it. */
interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}
type Cell = number | string | Uint8Array | null;
interface Statement {
  all(...values: Cell[]): Record<string, Cell>[];
  get(...values: Cell[]): Record<string, Cell> | undefined;
  run(...values: Cell[]): unknown;
}
interface Sqlite {
  readonly DatabaseSync: new (path: string, options?: { readOnly?: boolean }) => Database;
}
/** Looked for when it is needed: older versions of Node do not have it. */
const SQLITE: string = "node:sqlite";

/** @throws {KvError} `unavailable` if there is no SQLite */
async function sqlite(): Promise<Sqlite> {
  try {
    return await import(SQLITE) as Sqlite;
  } catch (cause) {
    throw new KvError(
      "unavailable",
      "this runtime has no SQLite: use Deno, or Node 22.5 or later",
      {
        cause,
      },
    );
  }
}

/** @throws {KvError} `bad_request` if it is not a file of Deno KV, or cannot be read */
export async function openKvFile(path: string): Promise<KvFile> {
  const { DatabaseSync } = await sqlite();
  const refuse = (why: string, cause?: unknown) =>
    new KvError("bad_request", `${path} is not a file of Deno KV that can be read: ${why}`, {
      cause,
    });
  try {
    await Deno.stat(path);
  } catch (cause) {
    throw refuse(systemReason(cause), cause);
  }
  let database: Database | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    const found = database.prepare("select version from migration_state where k = 0").get();
    if (Number(found?.version) !== MIGRATION) {
      throw refuse(`its tables have the version ${found?.version}, and ${MIGRATION} is read`);
    }
    const countOf = (table: string) =>
      Number(database?.prepare(`select count(*) as n from ${table}`).get()?.n);
    const open = database;
    return {
      count: countOf("kv"),
      queued: countOf("queue") + countOf("queue_running"),
      rows: () => rowsOf(open),
      close: () => open.close(),
    };
  } catch (cause) {
    database?.close();
    if (cause instanceof KvError) throw cause;
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function* rowsOf(
  database: Database,
): Generator<KvFileRow, void, void> {
  const select = (where: string) =>
    database.prepare(
      `select k, v, v_encoding, version, expiration_ms from kv ${where} order by k limit ${PAGE_ROWS}`,
    );
  const after = select("where k > ?");
  let page = select("").all();
  while (page.length > 0) {
    for (const { k, v, v_encoding, version, expiration_ms } of page) {
      yield {
        key: k as Uint8Array,
        value: v as Uint8Array,
        encoding: Number(v_encoding),
        version: Number(version),
        expiresAtMs: Math.max(0, Number(expiration_ms)),
      };
    }
    page = after.all(page.at(-1)?.k as Uint8Array);
  }
}

/** @throws {KvError} `exists` if there is a file that may not be replaced, `bad_request` if it cannot be written */
export async function createKvFile(path: string, replace: boolean): Promise<NewKvFile> {
  const { DatabaseSync } = await sqlite();
  if (!replace && await Deno.stat(path).then(() => true, () => false)) {
    throw new KvError("exists", `${path} is there already`);
  }
  const part = `${path}.part`;
  const remove = () => Deno.remove(part).catch(() => {});
  let database: Database;
  try {
    await remove();
    // Values may be secrets.
    (await Deno.open(part, { write: true, createNew: true, mode: 0o600 })).close();
    database = new DatabaseSync(part);
    database.exec(TABLES);
    database.exec("begin");
  } catch (cause) {
    throw new KvError("bad_request", `cannot write ${part} (${systemReason(cause)})`, { cause });
  }
  const insert = database.prepare(
    "insert into kv (k, v, v_encoding, version, expiration_ms) values (?, ?, ?, ?, ?)",
  );
  let newest = 0;
  let rows = 0;
  return {
    write({ key, value, encoding, version, expiresAtMs }) {
      insert.run(key, value, encoding, version, expiresAtMs === 0 ? -1 : expiresAtMs);
      newest = Math.max(newest, version);
      if (++rows % WRITE_ROWS === 0) database.exec("commit; begin");
    },
    async finish() {
      database.prepare("insert into data_version (k, version) values (0, ?)").run(newest);
      database.exec("commit");
      database.close();
      await Deno.rename(part, path);
    },
    async abandon() {
      database.close();
      await remove();
    },
  };
}
