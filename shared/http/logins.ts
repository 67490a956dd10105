/**
 * Who asks over HTTP: `Authorization: Basic` with user and password, or `Bearer` with a token. The password of a
 * connection's first request is verified, and later requests with the same header are known by it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { KvError } from "../base/errors.ts";
import { HTTP_AUTHORIZATION_CHARACTERS_MAX } from "../limits/security.ts";
import { Secret } from "../base/secret.ts";
import type { AccessControl, Credentials, Principal } from "../security/access_control.ts";
import type { HttpCaller } from "./protocol/body.ts";

const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** Knows who has logged in on which connection. */
export class HttpLogins {
  readonly #access: AccessControl;
  readonly #known = new WeakMap<HttpCaller, { header: Secret; principal: Principal }>();

  constructor(access: AccessControl) {
    this.#access = access;
  }

  /**
   * Whose request it is; undefined if it does not say.
   *
   * @throws {KvError} `unauthorized`, `bad_request` for a header that is none, `overloaded`
   */
  async principalOf(request: Request, caller: HttpCaller): Promise<Principal | undefined> {
    const header = request.headers.get("authorization");
    if (header === null) return undefined;
    const known = this.#known.get(caller);
    // A login that has ended is tried anew: the password may be the new one by now.
    if (known?.header.reveal() === header && known.principal.rights() !== undefined) {
      return known.principal;
    }
    const { remote } = caller;
    const principal = await this.#access.login(credentialsOf(header), { remote, frontEnd: "http" });
    this.#known.set(caller, { header: new Secret(header), principal });
    return principal;
  }
}

/** @throws {KvError} `bad_request`; the text does not repeat the header */
function credentialsOf(header: string): Credentials {
  if (header.length <= HTTP_AUTHORIZATION_CHARACTERS_MAX) {
    const [, token] = BEARER.exec(header) ?? [];
    if (token !== undefined) return { token: new Secret(token) };
    const [, encoded] = BASIC.exec(header) ?? [];
    const pair = encoded === undefined ? "" : Buffer.from(encoded, "base64").toString();
    const colon = pair.indexOf(":");
    if (colon >= 0) {
      return { user: pair.slice(0, colon), password: new Secret(pair.slice(colon + 1)) };
    }
  }
  throw new KvError(
    "bad_request",
    "the header Authorization must be Basic with user and password, or Bearer with a token",
  );
}
