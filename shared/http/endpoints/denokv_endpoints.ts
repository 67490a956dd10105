/**
 * Deno KV over HTTP: `POST /db/{database}` begins, and makes the database if it is not there; reads, atomic writes and
 * watches follow below it. What the bodies mean is in `shared/denokv/`.
 *
 * Invariant: a status of 5xx says that the request did not happen. Clients of KV Connect repeat after 5xx, at once and without
 * an end, and after nothing else that is answered.
 *
 * @module
 */
import { type ErrorCode, failureOf, KvError } from "../../base/errors.ts";
import { atomicWriteOutput, atomicWriteRequest } from "../../denokv/atomic_write.ts";
import {
  type DatabaseInfo,
  DEFAULT_DATABASE,
  findDatabase,
  NO_DATABASES,
  noDatabase,
} from "../../cluster/databases.ts";
import { keysAreSpread, KvDatabase } from "../../denokv/kv_database.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  decodeWatch,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../../denokv/messages.ts";
import { databaseMetadata, isDenosOwn, negotiatedVersion } from "../../denokv/metadata.ts";
import { addressAt, otherNode } from "../../denokv/other_node.ts";
import {
  checkSnapshotRead,
  snapshotReadOutput,
  snapshotReadRequest,
} from "../../denokv/snapshot_read.ts";
import { FRAME_BYTES_MAX } from "../../limits/wire.ts";
import { readBody } from "../protocol/body.ts";
import { PlainProblem, STATUS_OF_CODE } from "../protocol/problem.ts";
import { watchResponse } from "./denokv_watch.ts";
import { type Call, type Endpoint, endpoint, json, type Services } from "./endpoint.ts";

const PROTOBUF = "application/x-protobuf";
/** The token that is given to a client if nothing is secured: clients want one. */
const NO_TOKEN = "none";
const BEARER = /^bearer +/i;

/** What did not happen and may succeed later. */
const REPEATABLE: ReadonlySet<ErrorCode> = new Set([
  "not_primary",
  "unavailable",
  "not_enough_replicas",
  "overloaded",
  "timeout",
]);

const text = new TextDecoder("utf-8", { fatal: true });

export const openDenoKv: Endpoint = endpoint({
  id: "openDenoKv",
  summary: "Where a database of Deno KV is: what its clients ask first",
  description: "The metadata exchange of KV Connect. An empty body means version 1.",
  parameters: {},
  plainErrors: true,
  body: { contentType: "application/json", schema: { type: "object" } },
  responses: { 200: { description: "The database's metadata.", schema: { type: "object" } } },
  run: (call) =>
    plainly(call, async (body) => {
      const { request, services, key: name } = call;
      const version = negotiatedVersion(body.length === 0 ? undefined : parsed(body));
      const clusterId = clusterIdOf(services);
      const database = new KvDatabase(await ensured(services, name));
      const elsewhere = elsewhereOf(database, request, services);
      const isElsewhere = elsewhere !== undefined;
      const metadata = databaseMetadata(database, clusterId, {
        version,
        url: request.url,
        token: request.headers.get("authorization")?.replace(BEARER, "") || NO_TOKEN,
        elsewhere,
        nowMs: services.clock.wallMs(),
        lifetimeMs: services.denoKvLifetimes.next(isElsewhere, services.clock.monotonicMs()),
      });
      return json(200, metadata);
    }),
});

/** The database's address at another node, for who can go there and should. */
function elsewhereOf(
  database: KvDatabase,
  { url, headers }: Request,
  { site }: Services,
): string | undefined {
  const map = site.database.map();
  if (map === undefined || !isDenosOwn(headers)) return undefined;
  const asked = new URL(url);
  const node = otherNode(map, database, asked);
  return node === undefined ? undefined : addressAt(node, database, asked);
}

export const readDenoKv: Endpoint = endpoint({
  id: "readDenoKv",
  summary: "Ranges of keys of a database of Deno KV, as of one moment",
  parameters: {},
  plainErrors: true,
  body: { contentType: PROTOBUF, schema: { type: "string", contentMediaType: PROTOBUF } },
  responses: { 200: { description: "SnapshotReadOutput of KV Connect.", contentType: PROTOBUF } },
  run: (call) =>
    plainly(call, async (body) => {
      const services = servicesOf(call);
      const ranges = decodeSnapshotRead(body);
      checkSnapshotRead(ranges);
      if (ranges.length === 0) return protobuf(encodeSnapshotReadOutput([]));
      const reply = await services.execute(snapshotReadRequest(ranges));
      return protobuf(encodeSnapshotReadOutput(snapshotReadOutput(ranges, reply)));
    }),
});

export const writeDenoKv: Endpoint = endpoint({
  id: "writeDenoKv",
  summary: "Checks and mutations of keys of a database of Deno KV, all of them or none",
  parameters: {},
  plainErrors: true,
  body: { contentType: PROTOBUF, schema: { type: "string", contentMediaType: PROTOBUF } },
  responses: { 200: { description: "AtomicWriteOutput of KV Connect.", contentType: PROTOBUF } },
  run: (call) =>
    plainly(call, async (body) => {
      const services = servicesOf(call);
      const request = atomicWriteRequest(decodeAtomicWrite(body));
      const reply = await services.execute(request);
      return protobuf(encodeAtomicWriteOutput(atomicWriteOutput(request, reply)));
    }),
});

export const watchDenoKv: Endpoint = endpoint({
  id: "watchDenoKv",
  summary: "Keys of a database of Deno KV: their state, and then each change, without an end",
  parameters: {},
  plainErrors: true,
  body: { contentType: PROTOBUF, schema: { type: "string", contentMediaType: PROTOBUF } },
  responses: {
    200: {
      description: "WatchOutput of KV Connect, each behind its length in 4 bytes, little endian.",
      contentType: "application/octet-stream",
    },
  },
  run: (call) =>
    plainly(call, async (body) => {
      const services = servicesOf(call);
      // A copy, because the body is forgotten before the watch ends.
      const keys = decodeWatch(body).map((key) => key.slice());
      return await watchResponse(services, keys);
    }),
});

/** Answers a call; its errors have the statuses and the plain text that clients of the protocol expect. */
async function plainly(
  { request, services }: Call<unknown>,
  answer: (body: Uint8Array) => Promise<Response> | Response,
): Promise<Response> {
  try {
    const body = await readBody(request, FRAME_BYTES_MAX, "frame_too_large", services.bodies);
    try {
      return await answer(body.bytes);
    } finally {
      body.release();
    }
  } catch (error) {
    const { code, message } = failureOf(error);
    throw new PlainProblem(statusOf(code), code, message);
  }
}

function statusOf(code: ErrorCode): number {
  if (REPEATABLE.has(code)) return 503;
  // It may have happened, or it would end in the same way again.
  const status = STATUS_OF_CODE[code];
  return status >= 500 ? 409 : status;
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(text.decode(body));
  } catch (cause) {
    throw new KvError("bad_request", "the body must be JSON", { cause });
  }
}

/**
 * What a client needs of its database. One that has the metadata of another database, which perhaps had the same name
 * before it was dropped, or of another cluster at this address, is to ask anew.
 *
 * @throws {KvError} `bad_request`, `no_database`, `unavailable`
 */
function servicesOf({ key: name, request, services }: Call<unknown>): Services {
  const clusterId = clusterIdOf(services);
  const { denoKvIds } = services;
  const { databases } = services.site.database.map() ?? {};
  const { headers } = request;
  const given = (headers.get("x-denokv-database-id") ?? headers.get("x-transaction-domain-id"))
    ?.toLowerCase();
  const found = findDatabase(databases, name);
  const isKnown = found?.together === true &&
    given === denoKvIds.of(new KvDatabase(found), clusterId);
  if (isKnown) return services.inDatabase(name);
  // Made at another node a moment ago, perhaps in the place of one of this name that was dropped.
  const { next } = databases ?? NO_DATABASES;
  if (given !== undefined && denoKvIds.isOfLater(given, next, clusterId)) {
    throw new KvError("unavailable", `this process has not heard of the database ${name} yet`);
  }
  if (found === undefined && name !== DEFAULT_DATABASE) throw noDatabase(name);
  if (found?.together !== true) throw keysAreSpread(found?.name ?? DEFAULT_DATABASE);
  throw new KvError(
    "bad_request",
    `the header x-denokv-database-id is not that of the database ${name} here: open the database again`,
  );
}

/** The database of this name, which is made if it is not there and the user may make it; undefined is `default`. @throws {KvError} */
function ensured({ site }: Services, name: string): Promise<DatabaseInfo | undefined> {
  const { databases, guard } = site;
  const found = findDatabase(site.database.map()?.databases, name);
  if (found !== undefined || name === DEFAULT_DATABASE) return Promise.resolve(found);
  const refusal = guard?.whyRefused({ req_type: "database_create", database: name });
  if (refusal !== undefined) throw refusal;
  if (databases === undefined) throw noDatabase(name);
  return new Promise((resolve, reject) => {
    databases.ensure(name, true, (outcome) => {
      if (outcome instanceof KvError) reject(outcome);
      else resolve(outcome);
    }, guard?.user);
  });
}

function clusterIdOf({ site }: Services): string {
  const map = site.database.map();
  if (map === undefined) {
    throw new KvError("unavailable", "this process has not joined its cluster yet");
  }
  return map.settings.clusterId;
}

function protobuf(bytes: Uint8Array): Response {
  return new Response(bytes as Uint8Array<ArrayBuffer>, {
    headers: {
      "content-type": PROTOBUF,
      "content-length": String(bytes.length),
      "cache-control": "no-store",
    },
  });
}
