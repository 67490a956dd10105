/**
 * Whether the coordinator's document is the newest there is. A map is on the coordinator's disk before anybody sees
 * it. So if a node has seen a map which this document does not follow from, or its disk has a later term, the
 * document is an old copy. By an old copy a replica may be made primary that has missed acknowledged writes. So
 * nothing is done from then on, until an operator says to go on from it. Rule C9.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { DATABASE_NUMBER_MAX } from "../../shared/limits/cluster.ts";
import {
  ACCEPTED_DATABASE_LEAP,
  ACCEPTED_EPOCH_LEAP,
  ACCEPTED_TERM_LEAP,
} from "../../shared/limits/membership.ts";
import type { MapSeals } from "../../shared/security/map_seal.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import { follows, forgive, type SeenMap } from "../state/lineage.ts";
import type { Outbox } from "../state/ready.ts";

/** Looks at what registering nodes have seen. */
export class DocumentCheck {
  readonly #state: ClusterState;
  readonly #out: Outbox;
  /** The epoch of the document that was found at the start. */
  readonly #found: number;
  readonly #acceptEpoch: number | undefined;
  readonly #seals: MapSeals | undefined;
  #stale: string | undefined;

  /**
   * @param options `acceptEpoch`: the operator goes on from the document of this epoch; `seals`: of a secured cluster,
   *   whose nodes have to show that what they have seen was published
   */
  constructor(
    state: ClusterState,
    out: Outbox,
    { acceptEpoch, seals }: { acceptEpoch: number | undefined; seals?: MapSeals | undefined },
  ) {
    this.#state = state;
    this.#out = out;
    this.#found = state.published.epoch;
    this.#acceptEpoch = acceptEpoch;
    this.#seals = seals;
  }

  /** Why the document is an old copy, so that nothing is done; undefined as long as it is none. */
  get stale(): string | undefined {
    return this.#stale;
  }

  /** @returns why the node may not register */
  check(message: Message<"register">, nowMs: number): KvError | undefined {
    if (this.#stale === undefined) {
      const { lineage, published, table } = this.#state;
      const seen: SeenMap = {
        epoch: message.seen_epoch ?? 0,
        generation: message.seen_generation ?? undefined,
      };
      const later = message.held.find(([p, term]) => term > table.get(p).term);
      const isPast = follows(lineage, published.epoch, seen);
      if (isPast && later === undefined) return undefined;
      // A term alone shows nothing: whoever has taken a node over could say any.
      const isShown = !isPast && this.#seals?.isOurs(seen, message.seen_seal ?? undefined);
      if (this.#seals !== undefined && !isShown) return unshown(message, seen);
      if (this.#acceptEpoch === this.#found) {
        this.#accept(message, seen, nowMs);
        return undefined;
      }
      this.#stale = `the coordinator's register.json (epoch ${this.#found}) is an old copy: node ` +
        `${message.node} has seen a later one` + (seen.epoch > 0 ? ` (epoch ${seen.epoch})` : "") +
        "; stop the coordinator, put the newest copy back and start it again; if there is none, start it " +
        `with --accept-epoch ${this.#found}, which may lose acknowledged writes`;
      this.#out.error(this.#stale, {
        node: message.node,
        document: this.#found,
        seen: seen.epoch,
      });
    }
    return new KvError("stale_document", `register: ${this.#stale}`);
  }

  /** The operator's word: goes on from the old document, above everything that was given after it. */
  #accept(message: Message<"register">, seen: SeenMap, nowMs: number): void {
    const { publisher, table } = this.#state;
    const from = Math.max(publisher.decidedEpoch, seen.epoch) + ACCEPTED_EPOCH_LEAP;
    this.#out.error("an operator goes on from an old document; acknowledged writes may be lost", {
      document: this.#found,
      node: message.node,
      seen: seen.epoch,
      from,
    });
    this.#state.lineage = forgive(this.#state.lineage, seen, from);
    publisher.leapTo(from);
    // Rule W11: databases that were made after the document are lost, and none gets the number of one of them.
    const { databases } = this.#state;
    const next = Math.min(databases.next + ACCEPTED_DATABASE_LEAP, DATABASE_NUMBER_MAX + 1);
    this.#state.setDatabases({ ...databases, next });
    const held = new Map(message.held.map(([p, term]) => [p, term]));
    for (let p = 0; p < table.size; p++) {
      const config = table.get(p);
      if (config.term === 0 && !held.has(p)) continue;
      const termFloor = Math.max(config.term, held.get(p) ?? 0) + ACCEPTED_TERM_LEAP;
      this.#state.reconfigure(p, config, { termFloor, forced: true });
    }
    this.#state.flush(nowMs);
  }
}

/** In a secured cluster no single node can stop the coordinator by its word. Rule C9. */
function unshown({ node }: Message<"register">, { epoch }: SeenMap): KvError {
  return new KvError(
    "bad_request",
    `register: node ${node} says that it has seen a map (epoch ${epoch}) or a term that this coordinator has not ` +
      "published, and does not show the seal of such a map: its folder is damaged or another cluster's, or somebody " +
      "has its key; revoke its certificate (kv-client cert revoke), or let it join again with a new folder",
  );
}
