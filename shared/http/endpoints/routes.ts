/**
 * Every path and method of the HTTP front end. To add one, write a row here; the OpenAPI document,
 * `Allow`, `OPTIONS` and the tests follow from it.
 *
 * @module
 */
import { openDenoKv, readDenoKv, watchDenoKv, writeDenoKv } from "./denokv_endpoints.ts";
import { deleteByParameter, getByParameter, getCluster, setByBody } from "./ancestor_endpoints.ts";
import { postBatch } from "./batch_endpoint.ts";
import { countKeys, deleteKeys, getKeys, listKeys } from "./collection_endpoints.ts";
import { deleteDatabase, getDatabase, listDatabases, putDatabase } from "./database_endpoints.ts";
import type { Methods } from "./endpoint.ts";
import {
  getConsole,
  getConsoleScript,
  getConsoleSnapshot,
  getConsoleStyle,
} from "./console_endpoints.ts";
import { getHealth, getLiveness, getMetrics, getReadiness } from "./process_endpoints.ts";
import { operationRoutes } from "./operation_endpoints.ts";
import { openApiEndpoint } from "./openapi.ts";
import { getDatabaseWatch, getWatch } from "./watch_endpoint.ts";
import { deleteValue, getValue, putValue } from "./key_endpoints.ts";
import {
  clearStorage,
  deleteStorageItem,
  getStorageItem,
  listStorage,
  putStorageItem,
} from "./storage_endpoints.ts";

/** The part before the key in the path of a key. */
export const KEY_PATH = "/kv/";
/** The part before what unstorage calls a key, or the beginning of keys. */
export const STORAGE_PATH = "/storage/";
/** The part before a database's name in its paths. */
export const DATABASE_PATH = "/db/";

/** The paths that are also there for each database, behind `/db/NAME`; and those of operations, `/op/…`. */
export const DATABASE_ROUTES: ReadonlySet<string> = new Set([
  "/kv/{key}",
  "/kv",
  "/count",
  "/keys",
  "/get",
  "/set",
  "/delete",
  "/batch",
  "/storage/{key}",
  "/storage/{base}:",
]);

/** By path. `{key}` stands for the rest of a path, `{database}` for a part between slashes. */
export const ROUTES: Readonly<Record<string, Methods>> = {
  "/kv/{key}": { GET: getValue, PUT: putValue, DELETE: deleteValue },
  "/kv": { GET: listKeys, DELETE: deleteKeys },
  "/count": { GET: countKeys },
  "/keys": { GET: getKeys },
  "/storage/{key}": { GET: getStorageItem, PUT: putStorageItem, DELETE: deleteStorageItem },
  "/storage/{base}:": { GET: listStorage, DELETE: clearStorage },
  "/watch": { GET: getWatch },
  "/get": { GET: getByParameter },
  "/set": { POST: setByBody },
  "/delete": { DELETE: deleteByParameter },
  "/cluster": { GET: getCluster },
  "/health": { GET: getHealth },
  "/health/live": { GET: getLiveness },
  "/health/ready": { GET: getReadiness },
  "/metrics": { GET: getMetrics },
  "/": { GET: getConsole },
  "/console.js": { GET: getConsoleScript },
  "/console.css": { GET: getConsoleStyle },
  "/console/snapshot": { GET: getConsoleSnapshot },
  "/batch": { POST: postBatch },
  "/db": { GET: listDatabases },
  "/db/{database}": {
    GET: getDatabase,
    PUT: putDatabase,
    DELETE: deleteDatabase,
    POST: openDenoKv,
  },
  "/db/{database}/snapshot_read": { POST: readDenoKv },
  "/db/{database}/atomic_write": { POST: writeDenoKv },
  "/db/{database}/watch": { GET: getDatabaseWatch, POST: watchDenoKv },
  ...operationRoutes(),
  "/openapi.json": { GET: openApiEndpoint(() => ROUTES) },
};
