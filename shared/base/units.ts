/**
 * Units that bounds are written in.
 *
 * @module
 */

/** Bytes. */
export const KIB = 1024;
export const MIB: number = 1024 * KIB;
/** Milliseconds. */
export const DAY_MS = 86_400_000;
