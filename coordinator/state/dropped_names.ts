/**
 * Names of databases that were dropped, as long as a node may take writes that goes by a map from before: each with the
 * epoch of the first map without the database. Nobody gets such a name before all who may take writes know that map:
 * rule C13 of docs/replication.md. What nodes know is told by whoever asks.
 *
 * Invariant: a name is in the document from the one on that has the drop, and no more than DROPPED_NAMES_MAX are.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { isDatabaseName } from "../../shared/cluster/databases.ts";
import { isUint } from "../../shared/cluster/map_shape.ts";
import { DROPPED_NAMES_MAX } from "../../shared/limits/cluster.ts";

/** How they are stored: in the order in which they were dropped. */
export type StoredNames = readonly (readonly [name: string, epoch: number])[];

/** The names. */
export class DroppedNames {
  readonly #epochs: Map<string, number>;

  constructor(stored: StoredNames = []) {
    this.#epochs = new Map(stored);
  }

  get size(): number {
    return this.#epochs.size;
  }

  has(name: string): boolean {
    return this.#epochs.has(name);
  }

  /** @throws {KvError} `overloaded` if there is no room for another one */
  checkRoom(): void {
    if (this.#epochs.size < DROPPED_NAMES_MAX) return;
    throw new KvError(
      "overloaded",
      `database drop: ${DROPPED_NAMES_MAX} databases were dropped of which some nodes do not know that yet; ` +
        "see that all nodes are up, then try again",
    );
  }

  /** Maps from this epoch on do not have the database of this name. */
  add(name: string, epoch: number): void {
    this.#epochs.set(name, epoch);
  }

  /** All who may take writes go by the map of this epoch, or a later one. */
  letGo(knownEpoch: number): void {
    for (const [name, epoch] of this.#epochs) {
      if (epoch <= knownEpoch) this.#epochs.delete(name);
    }
  }

  toStored(): StoredNames {
    return [...this.#epochs];
  }
}

/** Why nobody gets a name now. */
export function nameIsAwaited(name: string): KvError {
  return new KvError(
    "unavailable",
    `database create: a database named ${name} was dropped, and a node that may still take writes for it does not ` +
      "know that yet, or cannot be reached; try again, use another name, or see that all nodes are up",
  );
}

/** Form of {@linkcode StoredNames}. */
export function isStoredNames(value: unknown): value is StoredNames {
  return Array.isArray(value) && value.length <= DROPPED_NAMES_MAX && value.every((item) => {
    if (!Array.isArray(item) || item.length !== 2) return false;
    const [name, epoch] = item;
    return isDatabaseName(name) && isUint(epoch);
  });
}
