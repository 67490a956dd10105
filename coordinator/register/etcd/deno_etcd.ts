/**
 * Sends requests to etcd's HTTP gateway: to one member after the other until one answers, with a login and TLS if they
 * are wanted. See `etcd_gateway.ts`.
 *
 * Invariants: a request waits at most `ETCD_TIMEOUT_MS` for a member; a reply is read up to `ETCD_REPLY_BYTES_MAX`; the
 * password and the token stand in no error.
 *
 * @module
 */
import { type ErrorCode, KvError, messageOf } from "../../../shared/base/errors.ts";
import type { Secret } from "../../../shared/base/secret.ts";
import { ETCD_REPLY_BYTES_MAX, ETCD_TIMEOUT_MS } from "../../../shared/limits/membership.ts";
import type { EtcdGateway } from "./etcd_gateway.ts";

/** Where etcd is, and how it is spoken to. */
export interface EtcdOptions {
  /** Such as `https://10.0.0.1:2379`; at least one. */
  readonly endpoints: readonly string[];
  readonly login?: { readonly user: string; readonly password: Secret } | undefined;
  /** Certificates of the authorities that are believed, PEM. Default: the system's. */
  readonly authority?: string | undefined;
  /** What is shown to an etcd that asks for certificates of clients, PEM. */
  readonly client?: { readonly certificate: string; readonly key: Secret } | undefined;
}

/** The codes of gRPC that etcd's errors have, as ours. Others are our own mistake. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  1: "unavailable",
  4: "unavailable",
  7: "forbidden",
  8: "storage_failed",
  9: "bad_config",
  14: "unavailable",
  16: "unauthorized",
};

/** The gateway. */
export class DenoEtcd implements EtcdGateway {
  readonly #options: EtcdOptions;
  readonly #http: Deno.HttpClient;
  #token: string | undefined;
  /** The endpoint that answered last. */
  #next = 0;

  constructor(options: EtcdOptions) {
    this.#options = options;
    const { authority, client } = options;
    this.#http = Deno.createHttpClient({
      ...(authority === undefined ? {} : { caCerts: [authority] }),
      ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
      http2: false,
    });
  }

  async call(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { endpoints, login } = this.#options;
    let failure = new KvError("unavailable", "no address of etcd is known");
    for (let i = 0; i < endpoints.length; i++) {
      const at = (this.#next + i) % endpoints.length;
      const endpoint = endpoints[at] ?? "";
      try {
        const reply = await this.#callAt(endpoint, path, body, login);
        this.#next = at;
        return reply;
      } catch (error) {
        if (!(error instanceof KvError) || error.code !== "unavailable") throw error;
        failure = error;
      }
    }
    throw failure;
  }

  close(): void {
    this.#http.close();
  }

  async #callAt(
    endpoint: string,
    path: string,
    body: unknown,
    login: EtcdOptions["login"],
  ): Promise<unknown> {
    if (login === undefined) return await this.#post(endpoint, path, body);
    const hadToken = this.#token !== undefined;
    this.#token ??= await this.#logIn(endpoint, login);
    try {
      return await this.#post(endpoint, path, body, this.#token);
    } catch (error) {
      // Tokens end, and an etcd that was started again knows none of them.
      if (!(error instanceof KvError) || error.code !== "unauthorized" || !hadToken) throw error;
      this.#token = await this.#logIn(endpoint, login);
      return await this.#post(endpoint, path, body, this.#token);
    }
  }

  async #logIn(
    endpoint: string,
    { user, password }: NonNullable<EtcdOptions["login"]>,
  ): Promise<string> {
    const login = { name: user, password: password.reveal() };
    const reply = await this.#post(endpoint, "/v3/auth/authenticate", login);
    const { token } = Object(reply);
    if (typeof token !== "string") {
      throw new KvError("unavailable", `${endpoint} gave no token for a login`);
    }
    return token;
  }

  /** @throws {KvError} */
  async #post(endpoint: string, path: string, body: unknown, token?: string): Promise<unknown> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), ETCD_TIMEOUT_MS);
    let text: string;
    try {
      const response = await fetch(`${endpoint}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token && { authorization: token }) },
        body: JSON.stringify(body),
        client: this.#http,
        redirect: "error",
        signal: abort.signal,
      });
      text = await textOf(response);
    } catch (error) {
      if (error instanceof KvError) throw error;
      const why = abort.signal.aborted ? `no answer in ${ETCD_TIMEOUT_MS} ms` : messageOf(error);
      throw new KvError("unavailable", `etcd at ${endpoint}: ${why}`);
    } finally {
      clearTimeout(timer);
    }
    return replyOf(endpoint, path, text);
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > ETCD_REPLY_BYTES_MAX) {
      throw new KvError("unavailable", "a reply of etcd is longer than the limit");
    }
  }
  return text;
}

/** @throws {KvError} what etcd refuses, and what is not etcd's */
function replyOf(endpoint: string, path: string, text: string): unknown {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch {
    throw new KvError("unavailable", `what answers at ${endpoint} is no etcd with its v3 gateway`);
  }
  // A stream's error is inside of it.
  const { error, code } = Object(reply);
  if (error === undefined) return reply;
  const { message = error, grpc_code = code } = Object(error);
  const said = String(message);
  // An etcd that was started again says so with another code.
  const known = /invalid auth token/.test(said) ? "unauthorized" : CODES[Number(grpc_code)];
  throw new KvError(known ?? "bad_request", `etcd at ${endpoint} refuses ${path}: ${said}`);
}
