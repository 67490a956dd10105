/**
 * The seals of published maps, in a secured cluster: an HMAC-SHA-256 over the cluster, the generation and the epoch,
 * by a key that the coordinator alone has. A node keeps the seal of the newest map that it has been sent, and shows it when
 * it says that it has seen that map. So a node can show that a map was published, and cannot make one up: what it cannot show
 * proves nothing (rule C9 of docs/replication.md).
 *
 * Pure. A seal says nothing about what is in the map; nodes are sent maps over a connection whose other end they know.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Secret } from "../base/secret.ts";
import { isUint } from "../cluster/map_shape.ts";
import { type Random, randomSecret } from "../platform/random.ts";

/** A map that somebody has seen, or says so. */
export interface SealedMap {
  readonly epoch: number;
  readonly generation?: string | undefined;
}

/** The newest map that a node has seen, as it keeps it and shows it. */
export interface SeenMap extends SealedMap {
  readonly seal?: string | undefined;
}

const KEY = /^[0-9a-f]{64}$/;
const SEAL = /^[0-9a-f]{64}$/;

/** A new key of 256 random bits. */
export function newSealKey(random: Random): Secret {
  return randomSecret(random);
}

/** Whether a text can be a key. */
export function isSealKey(text: unknown): text is string {
  return typeof text === "string" && KEY.test(text);
}

/** What is kept of a map. */
export function seenOf({ epoch, generation, seal }: SeenMap): SeenMap {
  return { epoch, generation, seal };
}

/** What a node has kept; undefined if it is nothing of that kind. */
export function parseSeenMap(value: unknown): SeenMap | undefined {
  const { epoch, generation, seal } = (value ?? {}) as Record<string, unknown>;
  if (!isUint(epoch) || !isOptionalText(generation) || !isOptionalText(seal)) return undefined;
  return { epoch, generation, seal };
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

/** Makes and knows the seals of one cluster. */
export class MapSeals {
  readonly #key: Secret;
  readonly #cluster: string;

  constructor(key: Secret, cluster: string) {
    this.#key = key;
    this.#cluster = cluster;
  }

  /** The seal of a map that is published; hexadecimal. */
  of({ epoch, generation }: SealedMap): string {
    // As JSON no two different maps are the same text.
    const text = JSON.stringify(["map", this.#cluster, generation ?? null, epoch]);
    return createHmac("sha256", this.#key.reveal()).update(text).digest("hex");
  }

  /** Whether the map was published by a coordinator of this cluster. */
  isOurs(map: SealedMap, seal: string | undefined): boolean {
    if (seal === undefined || !SEAL.test(seal)) return false;
    return timingSafeEqual(Buffer.from(seal), Buffer.from(this.of(map)));
  }
}
