/**
 * A database as one user may use it: each operation, scan and count is judged first, and what is refused
 * reaches nobody. Judged each time, so that a change of the user's rights counts at once.
 *
 * @module
 */
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { KvError } from "../base/errors.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";
import type { CountRequest, Database, ScanPage, ScanRequest } from "./database.ts";

/** Why a request is refused, or undefined. */
export type Judge = (request: Message) => KvError | undefined;

/** The database. */
export class GuardedDatabase implements Database {
  readonly #inner: Database;
  readonly #judge: Judge;

  constructor(inner: Database, judge: Judge) {
    this.#inner = inner;
    this.#judge = judge;
  }

  map(): ClusterMap | undefined {
    return this.#inner.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    const refusal = this.#judge(request);
    if (refusal === undefined) this.#inner.execute(request, timeoutMs, done);
    else done(toErrorReply(refusal));
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    const refusal = this.#judge({ req_type: "scan", ...request });
    if (refusal === undefined) return this.#inner.scan(request, timeoutMs, done);
    done(toErrorReply(refusal));
    return () => {};
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    const refusal = this.#judge({ req_type: "count", ...request });
    if (refusal === undefined) return this.#inner.count(request, timeoutMs, done);
    done(toErrorReply(refusal));
    return () => {};
  }
}
