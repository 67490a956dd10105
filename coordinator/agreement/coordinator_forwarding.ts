/**
 * Passes requests that only the active coordinator can carry out on to that one, for whoever has asked another one.
 *
 * Invariant: what was passed on once is not passed on again.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";
import type { Identity } from "../../shared/server/handshake.ts";
import { hello } from "../../shared/wire/hello.ts";
import type { ReplyTo, Request } from "../../shared/wire/messages.ts";
import { RpcClient, type RpcClientDeps } from "../../shared/wire/rpc_client.ts";

/** The way to the active coordinator. */
export class CoordinatorForwarding {
  readonly #deps: RpcClientDeps;
  readonly #clusterId: string;
  #client: RpcClient | undefined;

  constructor(deps: RpcClientDeps, clusterId: string) {
    this.#deps = deps;
    this.#clusterId = clusterId;
  }

  /**
   * @param to the active coordinator, if it is known
   * @param peer who asks
   * @throws {KvError} `unavailable`
   */
  passOn(to: Address | undefined, request: Request, reply: ReplyTo, peer: unknown): void {
    const isPassedOn = (peer as Identity | undefined)?.role === "gateway";
    if (to === undefined || isPassedOn) throw notActive(request.req_type, to);
    // The id is its sender's; the rest, with whose it is, goes on.
    const { id: _, ...rest } = request;
    this.#clientTo(to).request(rest, REQUEST_TIMEOUT_MS, reply);
  }

  close(): void {
    this.#client?.close();
  }

  #clientTo(to: Address): RpcClient {
    const known = this.#client;
    if (known !== undefined && formatAddress(known.address) === formatAddress(to)) return known;
    known?.close();
    const says = { cluster_id: this.#clusterId };
    this.#client = new RpcClient(this.#deps, to, hello("gateway", says), {}, {
      member: { role: "coordinator" },
    });
    return this.#client;
  }
}

/** @param active where the active one is, for whoever can go there */
export function notActive(what: string, active: Address | undefined): KvError {
  if (active === undefined) {
    return new KvError("unavailable", `${what}: no coordinator is active now; try again`);
  }
  const where = formatAddress(active);
  return new KvError(
    "unavailable",
    `${what}: this coordinator is not the active one, which is at ${where}`,
    { detail: { active: where } },
  );
}
