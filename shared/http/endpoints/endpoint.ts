/**
 * What an endpoint consists of: what it accepts, what it answers, and what it does. The table of all
 * endpoints is `routes.ts`; the OpenAPI document is made from the same rows.
 *
 * @module
 */
import { KvDatabaseIds } from "../../denokv/kv_database.ts";
import { MetadataLifetimes } from "../../denokv/metadata.ts";
import type { Traced } from "../../tracing/request_tracing.ts";
import { Buffer } from "node:buffer";
import { ByteBudget } from "../../base/byte_budget.ts";
import type { Clock } from "../../platform/clock.ts";
import type { CountRequest, Database, ScanPage, ScanRequest } from "../../database/database.ts";
import {
  deleteMatching,
  type DeletionEnd,
  type DeletionOrder,
} from "../../database/delete_matching.ts";
import type { AccessControl } from "../../security/access_control.ts";
import type { DatabaseInfo, DatabaseOrder, DatabaseUsage } from "../../cluster/databases.ts";
import { Keyspace } from "../../database/keyspace.ts";
import { type Guard, GuardedDatabase } from "../../database/guarded_database.ts";
import type { MetricSet } from "../../metrics/metric_set.ts";
import type { WorkScheduler } from "../../scheduling/work_scheduler.ts";
import type { Called } from "../../wire/caller.ts";
import { fromErrorReply } from "../../wire/error_reply.ts";
import { KvError } from "../../base/errors.ts";
import { REQUEST_BYTES_MAX } from "../../limits/admission.ts";
import { HTTP_RESPONSE_COUNTED_BYTES } from "../../limits/http.ts";
import { REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS_MAX } from "../../limits/requests.ts";
import type { KeyRequest, Message, Reply } from "../../wire/messages.ts";
import { checkKey, type RequestLimits } from "../../validation/request_checks.ts";
import type { BodyAccount, BodyLimits } from "../protocol/body.ts";
import type { HealthReport } from "../protocol/health_report.ts";
import {
  choiceParameter,
  type JsonSchema,
  type Parameters,
  type ParameterValues,
  readParameters,
  uintParameter,
} from "../protocol/parameters.ts";
import { HttpProblem } from "../protocol/problem.ts";

/** Takes the database as it is, or was; undefined for `default`; or why nothing was done. */
type DatabaseDone = (outcome: DatabaseInfo | KvError | undefined) => void;

/** Whoever has databases made and dropped. `user`: for whom, in a secured process; it may have the right. */
export interface DatabaseOrders {
  /** Makes the database if it is not there. */
  ensure(name: string, together: boolean, done: DatabaseDone, user?: string): void;
  create(order: DatabaseOrder, done: DatabaseDone, user?: string): void;
  drop(name: string, done: DatabaseDone, user?: string): void;
}

/** What the front end needs: the database, and what this process reports about itself. */
export interface HttpSite {
  readonly database: Database;
  /** Who may use `database`; absent: anybody. */
  readonly guard?: Guard;
  /** The whole cluster with stored keys, if `database` is one database of it. */
  readonly stored?: Database;
  /** Has databases made and dropped. Absent: that is not done here. */
  readonly databases?: DatabaseOrders;
  /** What all nodes have of databases. `done` gets undefined if one of them does not answer. Absent: nobody is asked. */
  readonly askUsages?: (done: (usages: readonly DatabaseUsage[] | undefined) => void) => void;
  readonly limits: RequestLimits;
  health(): HealthReport;
  /** The numbers of this process now. */
  metrics(): MetricSet;
  /** What `/metrics` says, if that is more than the numbers of this process. */
  metricsText?(): Promise<string>;
  /** What the console shows, as JSON: see `shared/console/cluster_watch.ts`. */
  snapshot(): Promise<string>;
  /** Of a secured cluster: who may do what. */
  readonly access?: AccessControl | undefined;
  /** The memory budget of requests under way, shared by all front ends. Absent: the front end gets its own. */
  readonly requests?: ByteBudget | undefined;
}

/** A request on its way to an endpoint. */
export interface Call<V> {
  readonly request: Request;
  /** The part of the path that the route leaves open, decoded; empty if it leaves none. */
  readonly key: string;
  readonly params: V;
  readonly services: Services;
}

/** A response as documents show it. */
export interface ResponseSpec {
  readonly description: string;
  /** The schema of a JSON body. Absent: no body, or a body of another kind. */
  readonly schema?: JsonSchema;
  /** The content type of another body. */
  readonly contentType?: string;
  readonly headers?: readonly string[];
}

interface Described {
  /** Unique; for generated clients. */
  readonly id: string;
  readonly summary: string;
  readonly description?: string;
  /** The request headers that have a meaning, by name. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
  /** The body of the request, by content type. */
  readonly body?: { readonly contentType: string; readonly schema: JsonSchema };
  /** Errors of its own are plain text; those that come before it are problem details, as everywhere. */
  readonly plainErrors?: true;
  /** The responses that are not errors, by status. */
  readonly responses: Readonly<Record<number, ResponseSpec>>;
}

interface EndpointSpec<P extends Parameters> extends Described {
  readonly parameters: P;
  run(call: Call<ParameterValues<P>>): Promise<Response> | Response;
}

/** One method of one path. */
export interface Endpoint extends Described {
  readonly parameters: Parameters;
  run(
    call: Omit<Call<unknown>, "params">,
    given: ReadonlyMap<string, string>,
  ): Promise<Response> | Response;
}

/** The methods that paths may have. HEAD is answered if GET is, OPTIONS everywhere. */
export type Method = "GET" | "PUT" | "POST" | "DELETE";

/** The endpoints of a path. */
export type Methods = Readonly<Partial<Record<Method, Endpoint>>>;

/** Joins an endpoint's parameters with its function. */
export function endpoint<const P extends Parameters>(spec: EndpointSpec<P>): Endpoint {
  return {
    ...spec,
    run: (call, given) => spec.run({ ...call, params: readParameters(spec.parameters, given) }),
  };
}

/** Parameters that many endpoints have. */
export const TIMEOUT = {
  timeout_ms: uintParameter(
    `Deadline in milliseconds; by default ${REQUEST_TIMEOUT_MS}.`,
    1,
    REQUEST_TIMEOUT_MS_MAX,
  ),
};
export const READ_PARAMETERS = {
  consistency: choiceParameter(
    "How fresh: strong (linearizable, the default), replica or cached (perhaps a moment old).",
    "strong",
    "replica",
    "cached",
  ),
  ...TIMEOUT,
};
export const WRITE_PARAMETERS = {
  acks: choiceParameter(
    "Which replicas have the write on disk when it is answered: all in-sync replicas (the default), or the primary.",
    "all",
    "primary",
  ),
  ...TIMEOUT,
};

/** Responses without an end. */
export interface EndlessStreams {
  readonly open: Set<{ stop(): void }>;
  /** The process stops: none may begin. */
  stopping: boolean;
}

/** What endpoints work with. */
export class Services {
  readonly clock: Clock;
  readonly work: WorkScheduler;
  readonly site: HttpSite;
  readonly bodies: BodyLimits;
  /** The responses without an end that are under way in this front end. */
  readonly streams: EndlessStreams;
  readonly denoKvIds: KvDatabaseIds;
  readonly denoKvLifetimes: MetadataLifetimes;
  readonly #accounts = new WeakMap<Request, BodyAccount>();

  constructor(
    clock: Clock,
    work: WorkScheduler,
    site: HttpSite,
    shared?: Pick<Services, "bodies" | "streams" | "denoKvIds" | "denoKvLifetimes">,
  ) {
    this.clock = clock;
    this.work = work;
    this.site = site;
    const budget = site.requests ?? new ByteBudget(REQUEST_BYTES_MAX);
    this.streams = shared?.streams ?? { open: new Set(), stopping: false };
    this.denoKvIds = shared?.denoKvIds ?? new KvDatabaseIds();
    this.denoKvLifetimes = shared?.denoKvLifetimes ?? new MetadataLifetimes();
    this.bodies = shared?.bodies ??
      { clock, budget, accountOf: (request) => this.#accounts.get(request) };
  }

  /** The same, with requests that name their caller, and the span that they are a part of. */
  of(about: Called & Traced): Services {
    const { clock, work, site } = this;
    const inner = site.database;
    const database: Database = {
      map: () => inner.map(),
      execute: (request, timeoutMs, done) => {
        inner.execute(Object.assign({ ...request }, about), timeoutMs, done);
      },
      scan: (request, timeoutMs, done) => inner.scan(request, timeoutMs, done),
      count: (request, timeoutMs, done) => inner.count(request, timeoutMs, done),
      watch: (request) => inner.watch(request),
    };
    return new Services(clock, work, { ...site, database }, this);
  }

  /** The same, as far as a user may use it. */
  guardedBy(guard: Guard): Services {
    const { clock, work, site } = this;
    const database = new GuardedDatabase(site.database, guard);
    return new Services(clock, work, { ...site, database, guard }, this);
  }

  /** The same, for one database. To be called last: what is below it has stored keys. */
  inDatabase(name: string): Services {
    const { clock, work, site } = this;
    const { stored = site.database } = site;
    const database = new Keyspace(stored, name);
    return new Services(clock, work, { ...site, stored, database }, this);
  }

  /** Who counts the body of a request. */
  countBody(request: Request, account: BodyAccount): void {
    this.#accounts.set(request, account);
  }

  /** Runs one operation; errors come as replies. */
  execute(request: KeyRequest, timeoutMs = REQUEST_TIMEOUT_MS): Promise<Reply> {
    return new Promise((resolve, reject) => {
      try {
        this.site.database.execute({ ...request, timeout_ms: timeoutMs }, timeoutMs, resolve);
      } catch (error) {
        reject(error);
      }
    });
  }

  /** Runs one operation. @throws {KvError} the error of its reply */
  async demand(
    request: KeyRequest,
    timeoutMs?: number,
  ): Promise<Exclude<Reply, Message<"error">>> {
    const reply = await this.execute(request, timeoutMs);
    if (reply.req_type === "error") throw fromErrorReply(reply);
    return reply;
  }

  /** Reads a page of the keys. @throws {KvError} */
  scan(request: ScanRequest, timeoutMs = REQUEST_TIMEOUT_MS): Promise<ScanPage> {
    return new Promise((resolve, reject) => {
      this.site.database.scan(request, timeoutMs, (page) => {
        if ("req_type" in page) reject(fromErrorReply(page));
        else resolve(page);
      });
    });
  }

  /** Counts keys. @throws {KvError} */
  count(request: CountRequest, timeoutMs = REQUEST_TIMEOUT_MS): Promise<number> {
    return new Promise((resolve, reject) => {
      this.site.database.count(request, timeoutMs, (count) => {
        if (typeof count === "number") resolve(count);
        else reject(fromErrorReply(count));
      });
    });
  }

  /** Deletes many keys; its result says what stopped it. */
  deleteMatching(order: DeletionOrder): Promise<DeletionEnd> {
    const { clock, work, site: { database } } = this;
    return new Promise((resolve) => deleteMatching({ clock, work, database }, order, resolve));
  }

  /** Checks a key from the address. @throws {KvError} 400, 414 */
  checkKeyOfTarget(key: string): void {
    try {
      checkKey(key, this.site.limits);
    } catch (error) {
      if (error instanceof KvError && error.code === "key_too_large") {
        throw new HttpProblem(414, error.code, error.message);
      }
      throw error;
    }
  }
}

/** A text as a response. A long one is counted until it is sent. */
export function textResponse(
  text: string,
  headers: Readonly<Record<string, string>>,
  status = 200,
): Response {
  const length: Record<string, string> = text.length > HTTP_RESPONSE_COUNTED_BYTES
    ? { "content-length": String(Buffer.byteLength(text)) }
    : {};
  return new Response(text, { status, headers: { ...length, ...headers } });
}

/** A JSON document as a response. */
export function json(
  status: number,
  document: unknown,
  headers: Record<string, string> = {},
): Response {
  const common = { "content-type": "application/json", "cache-control": "no-store" };
  return textResponse(JSON.stringify(document), { ...common, ...headers }, status);
}

/** The error for a reply of a type that the operation does not have. */
export function unexpected(reply: Reply): KvError {
  return new KvError("internal", `an unexpected reply: ${reply.req_type}`);
}
