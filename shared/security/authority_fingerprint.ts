/**
 * The hash by which a cluster's authority is known: in tokens, and to whoever joins. Without a promise, unlike
 * that of `certificate_authority.ts`, and without its library: it takes the bytes between the PEM's lines.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** SHA-256 of a certificate (PEM), in 64 lower-case hexadecimal digits. */
export function fingerprintOfPem(pem: string): string {
  const body = pem.replace(/-----[^-]*-----/g, "").replace(/\s/g, "");
  return createHash("sha256").update(body, "base64").digest("hex");
}
