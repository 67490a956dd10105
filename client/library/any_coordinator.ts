/**
 * Asks the coordinators of a cluster, one at a time: the one that answered last, and another one if it cannot be
 * reached. Each of them serves, or passes on what only the active one can do.
 *
 * Invariant: a request goes to another coordinator only if it was certainly not sent to the one before.
 *
 * @module
 */
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";
import type { Message, ReplyTo } from "../../shared/wire/messages.ts";
import { CoordinatorPool } from "../../shared/routing/coordinator_pool.ts";
import type { RpcClientDeps } from "../../shared/wire/rpc_client.ts";
import type { RequestTarget } from "../calls/call.ts";

/** What it is given. */
export interface AnyCoordinatorOptions {
  readonly hello: Message<"hello">;
  /** Those that the user has named. */
  readonly named: readonly Address[];
  /** The newest map, which names them all. */
  map(): ClusterMap | undefined;
}

/** The coordinators, as one. */
export class AnyCoordinator implements RequestTarget {
  readonly #deps: RpcClientDeps;
  readonly #options: AnyCoordinatorOptions;
  readonly #pool: CoordinatorPool;
  /** Who is asked first. */
  #first: string | undefined;
  #closed = false;

  constructor(deps: RpcClientDeps, options: AnyCoordinatorOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#pool = new CoordinatorPool(deps, () => options.hello);
  }

  request(message: object, timeoutMs: number, done: ReplyTo): void {
    this.#ask(this.#inOrder(), 0, message, this.#deps.clock.monotonicMs() + timeoutMs, done);
  }

  /** Asks one of them, and nobody else. */
  requestAt(address: Address, message: object, timeoutMs: number, done: ReplyTo): void {
    this.#pool.client(address).request(message, timeoutMs, done);
  }

  close(): void {
    this.#closed = true;
    this.#pool.close();
  }

  #ask(
    addresses: readonly Address[],
    at: number,
    message: object,
    deadlineMs: number,
    done: ReplyTo,
  ): void {
    const address = addresses[at];
    if (address === undefined) return;
    const timeoutMs = deadlineMs - this.#deps.clock.monotonicMs();
    this.#pool.client(address).request(message, Math.max(1, timeoutMs), (reply) => {
      const isUnsent = reply.req_type === "error" && reply.code === "unavailable" &&
        !this.#pool.client(address).up;
      const isLast = at + 1 >= addresses.length || this.#closed ||
        this.#deps.clock.monotonicMs() >= deadlineMs;
      if (isUnsent && !isLast) return this.#ask(addresses, at + 1, message, deadlineMs, done);
      if (!isUnsent) this.#first = formatAddress(address);
      done(reply);
    });
  }

  #inOrder(): Address[] {
    const { named } = this.#options;
    const listed = this.#options.map()?.coordinators ?? [];
    const all = [...named, ...listed.map(({ host, port }) => ({ host, port }))];
    const known = new Map(all.map((address) => [formatAddress(address), address]));
    const first = this.#first === undefined ? undefined : known.get(this.#first);
    const rest = [...known.values()].filter((address) => address !== first);
    return first === undefined ? rest : [first, ...rest];
  }
}
