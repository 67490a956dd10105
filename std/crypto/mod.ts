/**
 * Stands in for `jsr:@std/crypto` where JSR cannot be reached: see `links` in deno.json. Offers the
 * digests that `node:crypto` has, by the real package's names and signatures.
 *
 * @module
 */
export * from "./crypto.ts";
