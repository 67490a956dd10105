/**
 * An etcd that is simulated as far as the register needs it: keys with revisions, transactions, and leases that end by its
 * own clock. Each client has a link of its own, whose requests and answers can be lost or late.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { ETCD_TIMEOUT_MS } from "../../../shared/limits/membership.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import type { EtcdGateway } from "../../../coordinator/register/etcd/etcd_gateway.ts";

interface Kept {
  value: string;
  created: number;
  modified: number;
  lease: string | undefined;
}

interface Lease {
  readonly seconds: number;
  endsMs: number;
}

/** What a client's link does. */
export interface LinkFaults {
  /** Percent of requests that do not arrive. */
  lost: number;
  /** Percent of answers that do not arrive. */
  unanswered: number;
  /** Requests and answers take up to this long, and one in eight up to six times as long. */
  delayMs: number;
}

/** etcd orders keys by their bytes; these keys are ASCII, in base64 on the wire. */
const decode = (base64: unknown) => new TextDecoder().decode(Uint8Array.fromBase64(String(base64)));

/** The service. */
export class SimulatedEtcd {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #keys = new Map<string, Kept>();
  readonly #leases = new Map<string, Lease>();
  #revision = 1;
  #leaseCount = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A link to it, with its faults, which may change at any time. */
  link(faults: LinkFaults, clock: Clock): EtcdGateway {
    const chance = (percent: number) => randomBelow(this.#random, 100) < percent;
    return {
      call: (path, body) =>
        new Promise((resolve, reject) => {
          const timer = clock.setTimer(
            ETCD_TIMEOUT_MS,
            () => reject(new KvError("unavailable", "no answer")),
          );
          if (chance(faults.lost)) return;
          // One in eight takes far longer than the others, so that later ones come before it.
          const late = () => randomBelow(this.#random, faults.delayMs + 1) * (chance(12) ? 6 : 1);
          const isAnswered = !chance(faults.unanswered);
          // A request is carried out even if nobody waits for it any more.
          this.#clock.setTimer(late(), () => {
            const reply = structuredClone(this.#carryOut(path, body));
            if (!isAnswered) return;
            this.#clock.setTimer(late(), () => {
              timer.cancel();
              if (reply instanceof KvError) reject(reply);
              else resolve(reply);
            });
          });
        }),
      close() {},
    };
  }

  /** How many keys begin with this. */
  count(prefix: string): number {
    return [...this.#keys.keys()].filter((key) => key.startsWith(prefix)).length;
  }

  /** What a key has at this moment, if its lease has not ended; undefined if there is none. */
  peek(key: string): unknown {
    this.#endLeases();
    const kept = this.#keys.get(key);
    return kept && JSON.parse(decode(kept.value));
  }

  /** As if somebody deleted a key by hand. */
  delete(key: string): void {
    this.#keys.delete(key);
    this.#revision++;
  }

  // deno-lint-ignore no-explicit-any
  #carryOut(path: string, body: any): unknown {
    this.#endLeases();
    switch (path) {
      case "/v3/lease/grant": {
        const lease = String(++this.#leaseCount);
        const seconds = Number(body.TTL);
        this.#leases.set(lease, { seconds, endsMs: this.#clock.monotonicMs() + seconds * 1000 });
        return { ID: lease, TTL: String(seconds) };
      }
      case "/v3/lease/keepalive": {
        const lease = this.#leases.get(body.ID);
        if (lease === undefined) return { result: { ID: body.ID } };
        lease.endsMs = this.#clock.monotonicMs() + lease.seconds * 1000;
        return { result: { ID: body.ID, TTL: String(lease.seconds) } };
      }
      case "/v3/lease/revoke":
        this.#endLease(body.ID);
        return {};
      case "/v3/kv/txn":
        return this.#transaction(body);
    }
    return new KvError("bad_request", `no such path: ${path}`);
  }

  // deno-lint-ignore no-explicit-any
  #transaction({ compare, success, failure }: any): unknown {
    // deno-lint-ignore no-explicit-any
    const succeeded = compare.every(({ target, key, create_revision, mod_revision }: any) => {
      const kept = this.#keys.get(decode(key));
      return target === "CREATE"
        ? (kept?.created ?? 0) === Number(create_revision)
        : (kept?.modified ?? 0) === Number(mod_revision);
    });
    const operations = succeeded ? success : failure;
    const leases = operations.map(({ request_put: put }: { request_put?: { lease?: string } }) =>
      put?.lease
    );
    if (leases.some((lease: string | undefined) => lease && !this.#leases.has(lease))) {
      return new KvError("bad_request", "requested lease not found");
    }
    const writes = operations.some((operation: object) => !("request_range" in operation));
    if (writes) this.#revision++;
    const responses = operations.map((operation: Record<string, Record<string, string>>) => {
      const { request_range: range, request_put: put, request_delete_range: gone } = operation;
      if (put !== undefined) {
        const key = decode(put.key);
        const created = this.#keys.get(key)?.created ?? this.#revision;
        const value = String(put.value);
        this.#keys.set(key, { value, created, modified: this.#revision, lease: put.lease });
        return { response_put: {} };
      }
      const names = this.#between(range ?? gone ?? {});
      if (gone !== undefined) {
        for (const name of names) this.#keys.delete(name);
        return { response_delete_range: {} };
      }
      const kvs = names.slice(0, Number(range?.limit ?? names.length)).map((name) => {
        const kept = this.#keys.get(name);
        return {
          value: kept?.value,
          create_revision: String(kept?.created),
          mod_revision: String(kept?.modified),
        };
      });
      return { response_range: kvs.length === 0 ? {} : { kvs } };
    });
    return { header: { revision: String(this.#revision) }, succeeded, responses };
  }

  #between({ key, range_end }: Record<string, string>): string[] {
    const from = decode(key);
    if (range_end === undefined) return this.#keys.has(from) ? [from] : [];
    const to = decode(range_end);
    return [...this.#keys.keys()].filter((name) => from <= name && name < to).sort();
  }

  #endLeases(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [lease, { endsMs }] of this.#leases) if (nowMs >= endsMs) this.#endLease(lease);
  }

  #endLease(ended: string): void {
    this.#leases.delete(ended);
    for (const [key, { lease }] of this.#keys) {
      if (lease !== ended) continue;
      this.#keys.delete(key);
      this.#revision++;
    }
  }
}
