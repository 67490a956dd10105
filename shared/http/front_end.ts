/**
 * The HTTP front end: a request in, a response out. It finds the endpoint and turns every error into
 * problem details; it does not know what endpoints mean. It has no socket: `deno_http_server.ts` has
 * one, while tests and the simulator have none.
 *
 * Invariant: every request gets a response, and every error response is problem details.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";
import { type RequestMetrics, UNKNOWN_OPERATION } from "../metrics/request_metrics.ts";
import type { RequestSpan, RequestTracing } from "../tracing/request_tracing.ts";
import { CALLER } from "../wire/caller.ts";
import { isDefect, KvError, toKvError } from "../base/errors.ts";
import { checkDatabaseName, DEFAULT_DATABASE } from "../cluster/databases.ts";
import { DeduplicatingDatabase } from "../database/deduplicating_database.ts";
import { REQUEST_OVERHEAD_BYTES } from "../limits/admission.ts";
import type { Logger } from "../platform/logger.ts";
import { WorkScheduler } from "../scheduling/work_scheduler.ts";
import { type Random, randomId } from "../platform/random.ts";
import {
  type Endpoint,
  type HttpSite,
  type Method,
  type Methods,
  Services,
} from "./endpoints/endpoint.ts";
import { type AccessControl, DELETE_ALL } from "../security/access_control.ts";
import { ENDPOINT_NEEDS, type Need } from "../security/needs.ts";
import { HttpLogins } from "./logins.ts";
import type { HttpCaller } from "./protocol/body.ts";
import {
  addCorsHeaders,
  checkOrigin,
  optionsResponse,
  type OriginRules,
} from "./protocol/origins.ts";
import { repeatableNames } from "./protocol/parameters.ts";
import { HttpProblem, problemResponse } from "./protocol/problem.ts";
import {
  DATABASE_PATH,
  DATABASE_ROUTES,
  KEY_PATH,
  ROUTES,
  STORAGE_PATH,
} from "./endpoints/routes.ts";
import {
  percentDecoded,
  queryParameters,
  quoted,
  type Target,
  targetOf,
} from "./protocol/target.ts";

/** The result of looking up a path. */
interface Place {
  /** As {@linkcode ROUTES} has it. */
  readonly route: string;
  readonly methods: Methods;
  readonly key: string;
  /** The name of the database that it is about. */
  readonly database: string;
}

/** What is known of a request, for metrics. */
interface Seen {
  operation: string;
  code: string | undefined;
  key?: string;
  /** As the client has sent it. */
  traceparent?: string;
  span?: RequestSpan | undefined;
}

const NOT_LOGGED_IN = new KvError(
  "unauthorized",
  "log in first: the header Authorization, Basic with user and password, or Bearer with a token",
);

/** Answers requests. */
export class HttpFrontEnd {
  readonly #services: Services;
  readonly #rules: OriginRules;
  /** Of a secured cluster. */
  readonly #logins: { readonly access: AccessControl; readonly http: HttpLogins } | undefined;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: RequestMetrics | undefined;
  readonly #tracing: RequestTracing | undefined;
  #underWay = 0;

  constructor(
    { clock, random, log, work, metrics, tracing }: {
      clock: Clock;
      random: Random;
      log: Logger;
      /** Gives heavy work its turns; each process has one. Default: one of its own. */
      work?: WorkScheduler | undefined;
      /** Counts requests; each process has one. Default: nobody does. */
      metrics?: RequestMetrics | undefined;
      /** Makes spans of requests that are part of a trace. Default: nobody does. */
      tracing?: RequestTracing | undefined;
    },
    site: HttpSite,
    rules: OriginRules,
  ) {
    const name = () => `http-${randomId(random)}`;
    const database = new DeduplicatingDatabase(site.database, clock, name);
    this.#services = new Services(clock, work ?? new WorkScheduler(clock), { ...site, database });
    const { access } = site;
    this.#logins = access === undefined ? undefined : { access, http: new HttpLogins(access) };
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#tracing = tracing;
    this.#rules = rules;
  }

  /** Requests that are not answered yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Ends the responses that have no end by themselves; none begins any more. */
  endStreams(): void {
    const { streams } = this.#services;
    streams.stopping = true;
    for (const stream of [...streams.open]) stream.stop();
  }

  /**
   * Never rejects.
   *
   * If the last response of a connection was long, its next request runs in a turn of its own among all
   * heavy work.
   *
   * @param caller the connection over which the request came
   */
  async handle(request: Request, caller?: HttpCaller): Promise<Response> {
    this.#underWay++;
    const beganMs = this.#metrics?.beganMs() ?? 0;
    const seen: Seen = { operation: UNKNOWN_OPERATION, code: undefined };
    const { budget } = this.#services.bodies;
    const taken = budget.take(REQUEST_OVERHEAD_BYTES);
    if (caller !== undefined) this.#services.countBody(request, caller);
    let response: Response;
    try {
      if (!taken) {
        throw new KvError("overloaded", "too many requests are under way; try again");
      }
      response = caller?.lengths.last === "heavy"
        ? await this.#services.work.run(() => this.#answer(request, caller, seen))
        : await this.#answer(request, caller, seen);
    } catch (error) {
      const problem = this.#asKvError(error, request.method);
      seen.code = problem.code;
      response = problemResponse(problem);
    } finally {
      this.#underWay--;
      seen.span?.end(seen.code);
      if (taken) budget.give(REQUEST_OVERHEAD_BYTES);
    }
    if (this.#metrics !== undefined) {
      const { operation, code } = seen;
      const series = this.#metrics.series("http", operation);
      this.#metrics.ended(series, beganMs, code, seen, caller?.remote);
    }
    addCorsHeaders(request, response.headers, this.#rules);
    if (request.method !== "HEAD" || response.body === null) return response;
    await response.body.cancel();
    return new Response(null, { status: response.status, headers: response.headers });
  }

  async #answer(
    request: Request,
    caller: HttpCaller | undefined,
    seen: Seen,
  ): Promise<Response> {
    if (caller?.closed) throw new KvError("unavailable", "the connection is closed");
    const target = targetOf(request.url);
    checkOrigin(request, target.authority, this.#rules);
    const { route, methods, key, database } = placeOf(target);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const endpoint = Object.hasOwn(methods, method) ? methods[method as Method] : undefined;
    if (endpoint === undefined) {
      const allowed = allowedOf(methods);
      if (method === "OPTIONS") return optionsResponse(request, allowed, this.#rules);
      throw new HttpProblem(
        405,
        "bad_request",
        `${quoted(request.method)} is not for ${quoted(target.path)}; allowed: ${allowed}`,
        { headers: { allow: allowed } },
      );
    }
    seen.operation = `${method} ${route}`;
    if (key !== "") seen.key = key;
    const given = this.#tracing === undefined ? null : request.headers.get("traceparent");
    if (given !== null) {
      seen.traceparent = given;
      seen.span = this.#tracing?.begin(seen.operation, given);
    }
    // Requests of other connections run directly, which costs less.
    const services = caller?.heavy || seen.span !== undefined
      ? this.#services.of({ [CALLER]: caller, traceparent: seen.span?.traceparent })
      : this.#services;
    if (this.#logins !== undefined) {
      const need = ENDPOINT_NEEDS[`${method} ${route}`];
      const guarded = await this.#admit(need, request, services, this.#logins, caller);
      const call = { request, key, services: guarded.inDatabase(database) };
      return await endpoint.run(call, queryOf(target, endpoint));
    }
    const call = { request, key, services: services.inDatabase(database) };
    return await endpoint.run(call, queryOf(target, endpoint));
  }

  /**
   * What the user may use, before a byte of the body is read. What an endpoint asks of the database is judged
   * there, by what it asks.
   *
   * @throws {KvError} `unauthorized`, `forbidden`
   */
  async #admit(
    need: Need | undefined,
    request: Request,
    services: Services,
    logins: { readonly access: AccessControl; readonly http: HttpLogins },
    caller: HttpCaller | undefined,
  ): Promise<Services> {
    const { access, http } = logins;
    if (need === "anybody") {
      return services.guardedBy({
        user: undefined,
        whyRefused: () => NOT_LOGGED_IN,
      });
    }
    // Who cannot be told apart from others cannot log in.
    const principal = caller && await http.principalOf(request, caller);
    const rights = principal?.rights();
    if (caller === undefined || rights === undefined) throw NOT_LOGGED_IN;
    const isDatabases = need === "requests" ||
      (typeof need === "object" && ("range" in need || "selection" in need));
    const mayDoIt = need === "login" || isDatabases || rights.isAdmin ||
      (need === "monitor" && rights.mayMonitor);
    if (!mayDoIt) {
      access.noteRefusal(
        `${request.method} ${new URL(request.url).pathname}`,
        principal,
        caller.remote,
      );
      throw new KvError(
        "forbidden",
        `${request.method}: needs the right to ${
          need === "monitor" ? "monitor" : "administer"
        } the cluster`,
      );
    }
    if (deletesAll(request)) {
      // Judged as the request that it stands for, which the audit log knows.
      const refusal = access.whyRefused(DELETE_ALL, principal, caller.remote);
      if (refusal !== undefined) throw refusal;
    }
    return services.guardedBy({
      user: principal?.name,
      whyRefused: (asked) => access.whyRefused(asked, principal, caller.remote),
    });
  }

  #asKvError(error: unknown, method: string): KvError {
    if (isDefect(error)) {
      // Ends the process: its state cannot be relied on.
      this.#clock.defer(() => {
        throw error;
      });
    }
    const known = toKvError(error);
    if (known.code === "internal") {
      this.#log.error("a request failed", { method, error: known.message, stack: known.stack });
    }
    return known;
  }
}

function queryOf({ query }: Target, { parameters }: Endpoint): Map<string, string> {
  return queryParameters(query, repeatableNames(parameters));
}

function placeOf({ path }: Target): Place {
  if (!path.startsWith(DATABASE_PATH)) return placeWithin(path, DEFAULT_DATABASE);
  const slash = path.indexOf("/", DATABASE_PATH.length);
  const end = slash < 0 ? path.length : slash;
  const name = percentDecoded(path.slice(DATABASE_PATH.length, end), "the database's name");
  checkDatabaseName(name);
  const rest = path.slice(end);
  // Clients of Deno KV may have a slash at the end.
  const route = `${DATABASE_PATH}{database}${rest === "/" ? "" : rest}`;
  const methods = Object.hasOwn(ROUTES, route) ? ROUTES[route] : undefined;
  if (methods !== undefined) return { route, methods, key: name, database: DEFAULT_DATABASE };
  const place = placeWithin(rest, name);
  if (isOfDatabases(place.route)) return place;
  throw new HttpProblem(
    404,
    "bad_request",
    `there is nothing at ${quoted(rest)} of a database; /openapi.json says what there is`,
  );
}

/** Whether what is at a path is about keys, and so is there for each database. */
function isOfDatabases(route: string): boolean {
  return DATABASE_ROUTES.has(route) || route.startsWith("/op/");
}

function placeWithin(path: string, database: string): Place {
  if (path.startsWith(KEY_PATH)) {
    const key = percentDecoded(path.slice(KEY_PATH.length), "the key");
    const route = `${KEY_PATH}{key}`;
    return { route, methods: ROUTES[route] ?? {}, key, database };
  }
  if (path.startsWith(STORAGE_PATH)) return storagePlace(path.slice(STORAGE_PATH.length), database);
  const methods = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (methods === undefined) {
    throw new HttpProblem(
      404,
      "bad_request",
      `there is nothing at ${quoted(path)}; /openapi.json says what there is`,
    );
  }
  return { route: path, methods, key: "", database };
}

/** A key of unstorage, whose parts have slashes between them; or, with a colon or a slash at its end, all that begin so. */
function storagePlace(rest: string, database: string): Place {
  const isBase = rest === "" || /[:/]$/.test(rest);
  const parts = rest.split("/").filter((part) => part !== "" && part !== ":");
  const key = parts.map((part) => percentDecoded(part, "the key")).join(":");
  const route = `${STORAGE_PATH}${isBase ? "{base}:" : "{key}"}`;
  const prefix = key === "" || key.endsWith(":") ? key : `${key}:`;
  return { route, methods: ROUTES[route] ?? {}, key: isBase ? prefix : key, database };
}

function allowedOf(methods: Methods): string {
  const names = Object.keys(methods);
  return [...names, ...(names.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
}

/** Whether it begins to delete every key. */
function deletesAll({ method, url }: Request): boolean {
  if (method !== "DELETE") return false;
  const { pathname, searchParams } = new URL(url);
  if (/^\/storage\/[:/]*$/.test(pathname)) return true;
  return pathname === "/kv" && searchParams.get("all") === "yes" &&
    !["prefix", "start", "end", "cursor"].some((name) => (searchParams.get(name) ?? "") !== "");
}
