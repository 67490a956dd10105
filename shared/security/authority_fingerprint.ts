/**
 * The hash by which a cluster's authority is known: in tokens, and in what a node logs. It needs neither a promise nor
 * the library of `certificate_authority.ts`: it takes the bytes between the PEM's lines.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** SHA-256 of a certificate (PEM), in 64 lower-case hexadecimal digits. */
export function fingerprintOfPem(pem: string): string {
  const body = pem.replace(/-----[^-]*-----/g, "").replace(/\s/g, "");
  return createHash("sha256").update(body, "base64").digest("hex");
}
