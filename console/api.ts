/// <reference lib="dom" />
/**
 * Requests to the process that has served the page. A login is kept in memory alone: it is gone with the page.
 *
 * @module
 */
import { keyOfBase64, percentEncoded } from "../shared/base/key_text.ts";
import type { ConsoleSnapshot } from "../shared/console/snapshot.ts";

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let authorization: string | undefined;

/** The header that all requests have from now on; none: undefined. */
export function setLogin(
  login: { user: string; password: string } | { token: string } | undefined,
): void {
  if (login === undefined) authorization = undefined;
  else if ("token" in login) authorization = `Bearer ${login.token}`;
  else {
    const pair = new TextEncoder().encode(`${login.user}:${login.password}`);
    authorization = `Basic ${btoa(String.fromCharCode(...pair))}`;
  }
}

export function isLoggedIn(): boolean {
  return authorization !== undefined;
}

const TIMEOUT_MS = 15_000;

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (authorization !== undefined) headers.set("authorization", authorization);
  const response = await fetch(path, {
    ...init,
    headers,
    // So that the browser does not ask for a password by itself.
    credentials: "omit",
    signal: init.signal ?? AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(
    response.status,
    problem.code ?? "",
    problem.detail ?? `${response.status} ${response.statusText}`,
  );
}

export async function snapshot(): Promise<ConsoleSnapshot> {
  return await (await ask("console/snapshot")).json();
}

/** Keys on a page. */
export interface KeyPage {
  /** As `shared/base/key_text.ts` has them. */
  readonly keys: readonly string[];
  readonly cursor?: string;
}

export async function keys(
  prefix: string,
  cursor: string | undefined,
  limit: number,
): Promise<KeyPage> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (prefix !== "") query.set("prefix", prefix);
  if (cursor !== undefined) query.set("cursor", cursor);
  const page = await (await ask(`keys?${query}`)).json() as {
    keys: readonly (string | { key64: string })[];
    cursor?: string;
  };
  const names = page.keys.map((key) => typeof key === "string" ? key : keyOfBase64(key.key64));
  return { ...page, keys: names };
}

export async function countKeys(prefix: string): Promise<number> {
  const query = prefix === "" ? "" : `?${new URLSearchParams({ prefix })}`;
  return (await (await ask(`count${query}`)).json()).count;
}

/** What happened to a key. */
export interface KeyChange {
  readonly type: "put" | "delete" | "expired";
  readonly key: string;
}

const WATCH_RETRY_MS = 1_000;

/**
 * Tells of changes under a prefix until the signal, by the server's events; `onLevel` when all that is committed from then
 * on is told. An EventSource would do, if it could send a login.
 */
export async function watch(
  prefix: string,
  signal: AbortSignal,
  onChange: (change: KeyChange) => void,
  onLevel: () => void,
): Promise<void> {
  let token: string | undefined;
  while (!signal.aborted) {
    try {
      const headers = token === undefined ? {} : { "last-event-id": token };
      const response = await ask(`watch?prefix=${percentEncoded(prefix)}`, { headers, signal });
      for await (const { id, type, data } of events(response)) {
        token = id ?? token;
        if (type === "put" || type === "delete" || type === "expired") {
          const { key, key64 } = JSON.parse(data);
          onChange({ type, key: key ?? keyOfBase64(key64) });
        } else if (type === "level") onLevel();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, WATCH_RETRY_MS));
  }
}

/** The events of a stream, as they come. */
async function* events(
  { body }: Response,
): AsyncGenerator<{ id: string | undefined; type: string | undefined; data: string }> {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader?.read() ?? { done: true };
    if (done || value === undefined) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map<string, string>();
      for (const line of text.slice(0, end).split("\n")) {
        const at = line.indexOf(": ");
        fields.set(line.slice(0, at), line.slice(at + 2));
      }
      text = text.slice(end + 2);
      yield { id: fields.get("id"), type: fields.get("event"), data: fields.get("data") ?? "{}" };
    }
  }
}

/** A key's entry. */
export interface KeyEntry {
  readonly value?: string;
  readonly value64?: string;
  readonly version: number;
  readonly timestamp: number;
  readonly expires_at?: number;
  readonly content_type?: string;
}

export async function entry(key: string): Promise<KeyEntry> {
  return await (await ask(`get?key=${percentEncoded(key)}`)).json();
}

/** Any operation, with its fields. */
export async function operation(name: string, fields: object): Promise<Record<string, unknown>> {
  const response = await ask(`op/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  });
  return await response.json();
}

/** What the query line knows of an operation. */
export interface OperationSpec {
  readonly name: string;
  readonly summary: string;
  readonly fields: Readonly<
    Record<string, { type?: string; description?: string; enum?: string[] }>
  >;
  readonly required: readonly string[];
}

/** From the description that the process gives of itself. */
export async function operations(): Promise<OperationSpec[]> {
  const { paths } = await (await ask("openapi.json")).json();
  const found: OperationSpec[] = [];
  for (const [path, { post }] of Object.entries<{ post?: Described }>(paths)) {
    if (!path.startsWith("/op/") || post === undefined) continue;
    const { properties = {}, required = [] } =
      post.requestBody?.content["application/json"]?.schema ?? {};
    found.push({ name: path.slice(4), summary: post.summary, fields: properties, required });
  }
  return found;
}

interface Described {
  readonly summary: string;
  readonly requestBody?: {
    readonly content: {
      readonly "application/json"?: {
        readonly schema: { properties?: OperationSpec["fields"]; required?: string[] };
      };
    };
  };
}
