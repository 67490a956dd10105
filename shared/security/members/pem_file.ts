/**
 * Certificates as one text, one behind the other: a chain, or a list of authorities.
 *
 * @module
 */

/** @param certificates each PEM */
export function pemFile(certificates: readonly string[]): string {
  return certificates.map((one) => `${one.trimEnd()}\n`).join("");
}
