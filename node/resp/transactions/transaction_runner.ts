/**
 * Carries out what belongs together as one transaction of the cluster: requests that are known, or the requests
 * that a command decides on after looking at its keys. The latter are prepared on a snapshot and written if no
 * key has changed meanwhile; otherwise they are prepared again.
 *
 * @module
 */
import type { Database } from "../../../shared/database/database.ts";
import { toErrorReply } from "../../../shared/wire/error_reply.ts";
import { failureOf } from "../../../shared/base/errors.ts";
import { RESP_ATTEMPTS_MAX } from "../../../shared/limits/resp.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { Write } from "../command/command.ts";
import { errorText } from "../command/error_text.ts";
import { thrownText } from "../command/replies.ts";
import type { KeyTurns } from "../../../shared/scheduling/key_turns.ts";
import { KeySnapshot } from "./key_snapshot.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** What it needs of its connection. */
export interface RunnerSession {
  readonly server: {
    readonly database: Pick<Database, "map">;
    readonly valueBytesMax: number;
    /** Those of one node that look before they write do it one after the other. */
    readonly keyTurns: KeyTurns;
    wallMs(): number;
  };
  /** What stands before its keys where they are stored. */
  readonly keyPrefix: string;
  execute(request: KeyRequest, done: (reply: Reply) => void): void;
}

/** See the top of this file. */
export class TransactionRunner {
  readonly #session: RunnerSession;

  constructor(session: RunnerSession) {
    this.#session = session;
  }

  /** Whether keys are in several partitions. */
  isSpread(keys: Iterable<string>): boolean {
    const count = this.#session.server.database.map()?.settings.partitionCount ?? 1;
    let first: number | undefined;
    for (const key of keys) {
      const partition = partitionOf(key, count);
      first ??= partition;
      if (partition !== first) return true;
    }
    return false;
  }

  /** All requests as one, if the watched keys are unchanged. */
  runTogether(
    requests: readonly KeyRequest[],
    watched: ReadonlyMap<string, number>,
    write: (out: RespWriter, replies: readonly Reply[]) => void,
    finish: (write: Write, replies?: readonly Reply[]) => void,
  ): void {
    this.#transact(requests, [...watched], (reply) => {
      if (isMismatch(reply)) finish((out) => out.nilArray());
      else if (reply.req_type === "error") finish((out) => out.error(errorText(reply)));
      else finish((out) => write(out, repliesOf(reply)), [reply]);
    });
  }

  /** Looks at the keys, decides what to do, and does it if they have not changed. */
  lookAndWrite(
    keys: readonly string[],
    watched: ReadonlyMap<string, number>,
    run: (view: KeySnapshot) => Write | Promise<Write>,
    finish: (write: Write) => void,
  ): void {
    const { server, keyPrefix } = this.#session;
    server.keyTurns.take(
      keys.map((key) => keyPrefix + key),
      (end) =>
        this.#lookAndWrite(keys, watched, run, (write) => {
          end();
          finish(write);
        }, 1),
    );
  }

  #lookAndWrite(
    keys: readonly string[],
    watched: ReadonlyMap<string, number>,
    run: (view: KeySnapshot) => Write | Promise<Write>,
    finish: (write: Write) => void,
    attempt: number,
  ): void {
    const { server } = this.#session;
    const decide = (view: KeySnapshot, write: Write) => {
      const writes = view.writes();
      if (writes.length === 0) {
        finish(write);
        return;
      }
      this.#transact(writes, view.checks(), (reply) => {
        if (isMismatch(reply) && attempt < RESP_ATTEMPTS_MAX) {
          this.#lookAndWrite(keys, watched, run, finish, attempt + 1);
        } else if (reply.req_type === "error") {
          finish((out) => out.error(errorText(reply)));
        } else {
          view.written(repliesOf(reply));
          finish(write);
        }
      });
    };
    const fail = (error: unknown) => {
      const text = thrownText(error);
      finish((out) => out.error(text));
    };
    const look = (view: KeySnapshot) => {
      let write: Write | Promise<Write>;
      try {
        write = run(view);
      } catch (error) {
        return fail(error);
      }
      if (write instanceof Promise) write.then((write) => decide(view, write), fail);
      else decide(view, write);
    };
    if (keys.length === 0) {
      look(new KeySnapshot([], [], server.wallMs(), server.valueBytesMax));
      return;
    }
    const gets = keys.map((key): KeyRequest => ({ req_type: "get", key }));
    this.#transact(gets, [], (found) => {
      if (found.req_type === "error") {
        finish((out) => out.error(errorText(found)));
        return;
      }
      // The primary's date, from which it counts times to live; this node's date may differ.
      const wallMs = found.req_type === "result" ? found.date : undefined;
      const view = new KeySnapshot(
        keys,
        repliesOf(found),
        wallMs ?? server.wallMs(),
        server.valueBytesMax,
      );
      for (const [key, version] of watched) {
        if (view.versionOf(key) === version) continue;
        finish((out) => out.nilArray());
        return;
      }
      look(view);
    });
  }

  #transact(
    requests: readonly KeyRequest[],
    checks: readonly (readonly [string, number])[],
    done: (reply: Reply) => void,
  ): void {
    const key = requests[0]?.key ?? "";
    const request: KeyRequest = { req_type: "transaction", key, requests, checks };
    try {
      this.#session.execute(request, done);
    } catch (error) {
      done(toErrorReply(failureOf(error)));
    }
  }
}

function isMismatch(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "version_mismatch";
}

function repliesOf(reply: Reply): readonly Reply[] {
  return reply.req_type === "result" && Array.isArray(reply.result)
    ? reply.result as readonly Reply[]
    : [];
}
