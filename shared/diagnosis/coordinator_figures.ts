/**
 * How the coordinators of a cluster stand, from what each says of itself and what the active one says of all. The
 * console, `kv-client top` and `doctor` show the same. Pure.
 *
 * Invariant: a coordinator that does not answer, and of which nobody says anything, is never taken to be well.
 *
 * @module
 */
import type { CoordinatorInfo } from "../cluster/cluster_map.ts";
import { formatAddress } from "../platform/transport.ts";
import { type ProcessFigures, processFigures, type Told } from "../metrics/figures.ts";
import { type MetricDocument, samplesOf, valueOf } from "../metrics/metric_document.ts";

/** A coordinator. */
export interface CoordinatorView {
  readonly id: string;
  /** `host:port`; empty if the map does not name it: it waits to be added. */
  readonly address: string;
  /**
   * As the active one sees it: `active`, `standby`, `joining`, `leaving`, `waiting`. `active` is one that says so itself;
   * `standby`, too, while no active one is known. Absent if it is not known.
   */
  readonly role?: string;
  /** How many changes it is behind the active one. */
  readonly behind?: number;
  /** How long ago the active one has heard of it, in ms. */
  readonly silentMs?: number;
  /** Since when it is the active one, in milliseconds since 1970. */
  readonly activeSinceMs?: number;
  /** What it says itself; absent if it does not answer. */
  readonly figures?: ProcessFigures;
}

/** All of them. */
export interface CoordinatorsView {
  readonly list: readonly CoordinatorView[];
  /** So many have to be there, so that one can be active; absent if nobody says. */
  readonly needed?: number;
  /** Whether one of those that answer acts, and has the right to. */
  readonly hasActive: boolean;
}

/** One that was asked: what it says now, and what it said before. */
interface Asked {
  readonly now: Told;
  readonly before: Told | undefined;
}

/**
 * @param known those that the map names
 * @param told by id, "" for the only one of a map that names none; those that do not answer are not in it
 */
export function coordinatorsView(
  known: readonly CoordinatorInfo[],
  told: ReadonlyMap<string, Asked>,
): CoordinatorsView {
  const active = activeOf(told);
  const document = active?.document;
  const rows = new Map(
    document === undefined
      ? []
      : samplesOf(document, "kv_coordinator_member").map(({ labels: [id = "", role = ""] }) => [
        id,
        role,
      ]),
  );
  const addresses = new Map(known.map((one) => [one.id, formatAddress(one)]));
  const ids = new Set([...addresses.keys(), ...rows.keys(), ...told.keys()]);
  const needed = [...told.values()].map(({ now }) =>
    valueOf(now.document, "kv_coordinators_needed")
  ).find((value) => value !== undefined);
  return {
    list: [...ids].map((id) => {
      const asked = told.get(id);
      const role = roleOf(id, rows, active?.id, asked?.now.document);
      const behind = document && valueOf(document, "kv_coordinator_behind", id);
      const silent = document && valueOf(document, "kv_coordinator_silent_seconds", id);
      const since = id === active?.id
        ? document && valueOf(document, "kv_coordinator_active_since_seconds")
        : undefined;
      return {
        id,
        address: addresses.get(id) ?? "",
        ...(role === undefined ? {} : { role }),
        ...(behind === undefined ? {} : { behind }),
        ...(silent === undefined ? {} : { silentMs: silent * 1_000 }),
        ...(since === undefined ? {} : { activeSinceMs: since * 1_000 }),
        ...(asked === undefined ? {} : { figures: processFigures(asked.now, asked.before) }),
      };
    }),
    ...(needed === undefined ? {} : { needed }),
    hasActive: document !== undefined && valueOf(document, "kv_coordinator_right") === 1,
  };
}

/** Who acts. Of two that say so, the one of the later generation: the other has not heard of it yet. */
function activeOf(
  told: ReadonlyMap<string, Asked>,
): { id: string; document: MetricDocument } | undefined {
  let found: { id: string; document: MetricDocument; generation: number } | undefined;
  for (const [id, { now: { document } }] of told) {
    if (valueOf(document, "kv_coordinator_active") !== 1) continue;
    const generation = valueOf(document, "kv_coordinator_generation") ?? 0;
    if (found === undefined || generation > found.generation) found = { id, document, generation };
  }
  return found;
}

function roleOf(
  id: string,
  rows: ReadonlyMap<string, string>,
  active: string | undefined,
  own: MetricDocument | undefined,
): string | undefined {
  if (id === active) return "active";
  return rows.get(id) ?? (own === undefined ? undefined : "standby");
}
