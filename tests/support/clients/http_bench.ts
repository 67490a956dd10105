/**
 * The HTTP front end over a database in memory. Every answer is checked against the OpenAPI document.
 *
 * @module
 */
import { MetricSet } from "../../../shared/metrics/metric_set.ts";
import { assertEquals } from "@std/assert";
import { ERROR_CODES, type ErrorCode } from "../../../shared/base/errors.ts";
import { HttpFrontEnd } from "../../../shared/http/front_end.ts";
import type { HealthReport } from "../../../shared/http/protocol/health_report.ts";
import type { OriginRules } from "../../../shared/http/protocol/origins.ts";
import type { HttpCaller } from "../../../shared/http/protocol/body.ts";
import type { AccessControl } from "../../../shared/security/access_control.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "../doubles/no_log.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { MemoryDatabase } from "../doubles/memory_database.ts";
import { checkAgainstOpenApi } from "./openapi_check.ts";

export const HOST = "http://127.0.0.1:9081";
/** As a process that only this machine can reach. */
export const LOCAL: OriginRules = { corsOrigins: [], hosts: [] };
export const VALUE_BYTES_MAX = 1_000;

/** The front end, and what is behind it. */
export class HttpBench {
  readonly database = new MemoryDatabase();
  readonly clock = new ManualClock(this.database.wallMs);
  readonly frontEnd: HttpFrontEnd;
  health: HealthReport = { role: "node", status: "ok", reasons: [], checks: {} };

  /** @param access of a secured cluster */
  constructor(rules: OriginRules = LOCAL, access?: AccessControl) {
    this.frontEnd = new HttpFrontEnd({
      clock: this.clock,
      random: new SeededRandom(1),
      log: NO_LOG,
    }, {
      database: this.database,
      limits: { keyBytesMax: 100, valueBytesMax: VALUE_BYTES_MAX },
      health: () => this.health,
      metrics: () => new MetricSet(),
      snapshot: () => Promise.resolve("{}"),
      access,
    }, rules);
  }

  /** A request; `path` is put behind the address as it is. */
  async ask(
    method: string,
    path: string,
    options: RequestInit & { duplex?: "half" } = {},
    caller?: HttpCaller,
  ) {
    const request = new RawRequest(HOST + path, { method, ...options });
    const response = await this.frontEnd.handle(request, caller);
    await checkAgainstOpenApi(method, path, response);
    return response;
  }

  /** A request that must fail. @returns the problem */
  async problem(status: number, code: ErrorCode, method: string, path: string, options = {}) {
    const response = await this.ask(method, path, options);
    const problem = await response.json();
    assertEquals([response.status, problem.status, problem.code], [status, status, code], path);
    assertEquals(response.headers.get("content-type"), "application/problem+json");
    assertEquals(problem.title, ERROR_CODES[code].text);
    assertEquals(problem.retry, ERROR_CODES[code].retry);
    assertEquals(problem.type, `urn:kv:problem:${code}`);
    return { problem, response };
  }
}

/** A request whose address stays as it is written, as it does on a real connection. */
export class RawRequest extends Request {
  readonly #raw: string;

  constructor(raw: string, init: RequestInit & { duplex?: "half" }) {
    super(HOST, init);
    this.#raw = raw;
  }

  override get url(): string {
    return this.#raw;
  }
}
