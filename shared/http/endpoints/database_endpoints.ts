/**
 * `/db`: the databases; `/db/{database}`: one of them, to make, see and drop it. What is about its keys is behind
 * `/db/NAME`, at the paths that `default` has.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import {
  databaseDocument,
  type DatabaseInfo,
  databaseListing,
  type DatabaseSize,
  DEFAULT_DATABASE,
  demandDatabase,
  sizeOfDatabase,
} from "../../cluster/databases.ts";
import { choiceParameter, flagParameter, uintParameter } from "../protocol/parameters.ts";
import { DATABASE, DATABASES } from "../protocol/schemas.ts";
import { type DatabaseOrders, endpoint, json, type Services, TIMEOUT } from "./endpoint.ts";

export const listDatabases = endpoint({
  id: "listDatabases",
  summary: "The databases",
  parameters: {},
  responses: { 200: { description: "All of them, `default` first.", schema: DATABASES } },
  run: ({ services }) =>
    json(200, { databases: databaseListing(services.site.database.map()?.databases) }),
});

export const getDatabase = endpoint({
  id: "getDatabase",
  summary: "A database",
  parameters: TIMEOUT,
  responses: {
    200: {
      description:
        "How it was made, and its keys; of a named one, if all nodes know it by now, also the bytes of its rows " +
        "and how many of its keys expire.",
      schema: DATABASE,
    },
  },
  async run({ key: name, params, services }) {
    const about = name === DEFAULT_DATABASE
      ? { name, number: 0 }
      : demandDatabase(services.site.database.map()?.databases, name);
    const keys = await services.inDatabase(name).count({}, params.timeout_ms);
    const { bytes, expiring } = await sizeOf(services, about.number) ?? {};
    return json(200, {
      ...databaseDocument(about),
      keys,
      ...(bytes === undefined || expiring === undefined ? {} : { bytes, expiring }),
    });
  },
});

export const putDatabase = endpoint({
  id: "putDatabase",
  summary: "Make a database",
  parameters: {
    together: flagParameter("All its keys in one partition."),
    max_keys: uintParameter("Refuse writes beyond this many keys.", 1, Number.MAX_SAFE_INTEGER),
    max_bytes: uintParameter(
      "Refuse writes beyond this many bytes of keys and values.",
      1,
      Number.MAX_SAFE_INTEGER,
    ),
  },
  responses: { 201: { description: "It is made.", schema: DATABASE } },
  async run({ key: name, params, services }) {
    const made = await changed(services, (databases, done, user) =>
      databases.create(
        {
          name,
          ...(params.together === true ? { together: true as const } : {}),
          ...(params.max_keys === undefined ? {} : { maxKeys: params.max_keys }),
          ...(params.max_bytes === undefined ? {} : { maxBytes: params.max_bytes }),
        },
        done,
        user,
      ));
    return json(201, databaseDocument(made));
  },
});

export const deleteDatabase = endpoint({
  id: "deleteDatabase",
  summary: "Drop a database",
  description: "Its keys are gone when this is answered; their space comes back in time.",
  parameters: { all: choiceParameter("Confirms that the database is to be dropped.", "yes") },
  responses: { 200: { description: "It is gone.", schema: DATABASE } },
  async run({ key: name, params, services }) {
    if (params.all !== "yes") {
      throw new KvError(
        "bad_request",
        "this drops the database and every key in it; confirm it with all=yes",
      );
    }
    const dropped = await changed(
      services,
      (databases, done, user) => databases.drop(name, done, user),
    );
    return json(200, databaseDocument(dropped));
  },
});

function sizeOf({ site }: Services, number: number): Promise<DatabaseSize | undefined> {
  const { askUsages } = site;
  if (askUsages === undefined || number === 0) return Promise.resolve(undefined);
  return new Promise((resolve) =>
    askUsages((usages) => resolve(usages && sizeOfDatabase(usages, number)))
  );
}

/** @throws {KvError} */
function changed(
  { site: { databases, guard } }: Services,
  change: (
    databases: DatabaseOrders,
    done: (outcome: DatabaseInfo | KvError | undefined) => void,
    user: string | undefined,
  ) => void,
): Promise<DatabaseInfo> {
  if (databases === undefined) {
    throw new KvError("bad_request", "databases are not made or dropped here; ask a node");
  }
  return new Promise((resolve, reject) => {
    change(databases, (outcome) => {
      if (outcome instanceof KvError) reject(outcome);
      else if (outcome !== undefined) resolve(outcome);
    }, guard?.user);
  });
}
