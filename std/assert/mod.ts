/**
 * Stands in for `jsr:@std/assert` where JSR cannot be reached: see `links` in deno.json. Offers the
 * assertions in use, by the real package's names, signatures and behaviour; wording may differ.
 *
 * @module
 */
export * from "./assertion_error.ts";
export * from "./compare.ts";
export * from "./equal.ts";
export * from "./throws.ts";
export * from "./truth.ts";
