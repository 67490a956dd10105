/**
 * Which web pages may use the front end. A browser sends a page's requests to any address that it can
 * reach, including this machine. So a foreign page could write to a database that its author cannot
 * reach. Such requests carry an `Origin`; those of other programs do not.
 *
 * Somebody may also point the name of a page's origin at this process (DNS rebinding). The page's
 * requests are then of the same origin and may have no `Origin` at all; their `Host` gives them away.
 *
 * Invariants: a request that may change something and comes from a page of another origin is refused,
 * unless that origin is allowed. A request of any method is answered only if its host is an IP address,
 * localhost, or a name that this process was given.
 *
 * @module
 */
import { HttpProblem } from "./problem.ts";

/** Which pages and names are accepted. */
export interface OriginRules {
  /** Origins of other pages that may use it; `*`: all. */
  readonly corsOrigins: readonly string[];
  /** Names by which this process is known, besides addresses and localhost; `*`: any. */
  readonly hosts: readonly string[];
}

/** Only addresses and localhost, and no foreign pages. */
export const NO_ORIGINS: OriginRules = { corsOrigins: [], hosts: [] };

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
const ALLOWED_HEADERS =
  "Authorization, Content-Type, If-Match, If-None-Match, If-Modified-Since, Last-Event-ID, " +
  "If-Unmodified-Since, KV-TTL, KV-Expires-At, X-TTL";
const EXPOSED_HEADERS =
  "ETag, Last-Modified, KV-Version, KV-TTL, KV-Expires-At, X-TTL, Retry-After, Allow";
const PREFLIGHT_SECONDS = 600;

/** @throws {HttpProblem} 403 */
export function checkOrigin(request: Request, authority: string, rules: OriginRules): void {
  const { headers } = request;
  const origin = headers.get("origin");
  const host = hostOf(authority);
  const { hosts } = rules;
  const isKnown = isAddress(host) || isLocalhost(host) || hosts.includes(host) ||
    hosts.includes("*");
  if (!isKnown) {
    throw forbidden(
      `this process does not answer to the host name ${JSON.stringify(host.slice(0, 255))}: ` +
        "ask by its IP address, or start it with --allowed-host and that name",
    );
  }
  if (SAFE_METHODS.has(request.method) || isAllowed(origin, rules)) return;
  const sameOrigin = origin === null
    ? !["cross-site", "same-site"].includes(headers.get("sec-fetch-site") ?? "")
    : origin === `http://${authority}` || origin === `https://${authority}`;
  if (!sameOrigin) {
    throw forbidden(
      `pages of ${JSON.stringify(origin?.slice(0, 255) ?? "other origins")} may not write here ` +
        "unless --cors-origin allows it",
    );
  }
}

/** Adds the headers that let a page of an allowed origin read a response. */
export function addCorsHeaders(request: Request, response: Headers, rules: OriginRules): void {
  if (rules.corsOrigins.length === 0) return;
  const origin = request.headers.get("origin");
  response.append("vary", "Origin");
  if (origin === null || !isAllowed(origin, rules)) return;
  response.set("access-control-allow-origin", rules.corsOrigins.includes("*") ? "*" : origin);
  response.set("access-control-expose-headers", EXPOSED_HEADERS);
}

/** The answer to OPTIONS, with which a browser asks before it sends a page's request. */
export function optionsResponse(request: Request, methods: string, rules: OriginRules): Response {
  const headers = new Headers({ allow: methods });
  const isPreflight = request.headers.has("access-control-request-method");
  if (isPreflight && isAllowed(request.headers.get("origin"), rules)) {
    headers.set("access-control-allow-methods", methods);
    headers.set("access-control-allow-headers", ALLOWED_HEADERS);
    headers.set("access-control-max-age", String(PREFLIGHT_SECONDS));
  }
  return new Response(null, { status: 204, headers });
}

function isAllowed(origin: string | null, { corsOrigins }: OriginRules): boolean {
  return origin !== null && (corsOrigins.includes("*") || corsOrigins.includes(origin));
}

/** The host of `host:port`, in small letters. */
function hostOf(authority: string): string {
  const bracket = authority.lastIndexOf("]");
  const colon = authority.lastIndexOf(":");
  const host = colon > bracket ? authority.slice(0, colon) : authority;
  return host.toLowerCase().replace(/\.$/, "");
}

/** Whether a host is an IP address, which nobody can point at another machine. */
function isAddress(host: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || /^\[[0-9a-f:.%]+\]$/.test(host);
}

function isLocalhost(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}

function forbidden(message: string): HttpProblem {
  return new HttpProblem(403, "forbidden", message);
}
