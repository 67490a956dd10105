/**
 * A database as one user may use it: each operation, scan and count is judged first, and what is refused
 * reaches nobody. Each request is judged anew, so that a change of the user's rights counts at once. What is passed on
 * says whose it is, and client sessions are the user's own.
 *
 * @module
 */
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { WatchRequest } from "../watch/watch_event.ts";
import type { KvError } from "../base/errors.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { KeyRequest, Message, Reply, Request } from "../wire/messages.ts";
import { ON_BEHALF } from "../wire/on_behalf.ts";
import { forUser } from "./for_user.ts";
import type { CountRequest, Database, ScanPage, ScanRequest, Watch } from "./database.ts";

/** Who judges. */
export interface Guard {
  /** Whose requests they are; undefined for nobody's. */
  readonly user: string | undefined;
  /** Why a request is refused, or undefined. */
  whyRefused(request: Request): KvError | undefined;
}

/** The database. */
export class GuardedDatabase implements Database {
  readonly #inner: Database;
  readonly #guard: Guard;

  constructor(inner: Database, guard: Guard) {
    this.#inner = inner;
    this.#guard = guard;
  }

  map(): ClusterMap | undefined {
    return this.#inner.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    const { user } = this.#guard;
    const refusal = this.#guard.whyRefused(request);
    if (refusal !== undefined) {
      done(toErrorReply(refusal));
      return;
    }
    this.#inner.execute(
      user === undefined ? request : forUser(request, user),
      timeoutMs,
      done,
    );
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    const refusal = this.#guard.whyRefused({ req_type: "scan", ...request });
    if (refusal === undefined) return this.#inner.scan(this.#stamped(request), timeoutMs, done);
    done(toErrorReply(refusal));
    return () => {};
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    const refusal = this.#guard.whyRefused({ req_type: "count", ...request });
    if (refusal === undefined) return this.#inner.count(this.#stamped(request), timeoutMs, done);
    done(toErrorReply(refusal));
    return () => {};
  }

  watch(request: WatchRequest): Watch {
    const { keys, prefixes } = request;
    const whyRefused = () => this.#guard.whyRefused({ req_type: "watch", keys, prefixes });
    const refusal = whyRefused();
    if (refusal !== undefined) throw refusal;
    const inner = this.#inner.watch(this.#stamped(request));
    return {
      // Judged anew at every event: the user's rights may have changed.
      next: (done) =>
        inner.next((events) => {
          const refused = whyRefused();
          if (refused === undefined) {
            done(events);
            return;
          }
          inner.close();
          done(toErrorReply(refused));
        }),
      close: () => inner.close(),
    };
  }

  #stamped<R extends object>(request: R): R {
    const { user } = this.#guard;
    return user === undefined ? request : { ...request, [ON_BEHALF]: user };
  }
}
