/**
 * When certificates are good. It needs no library: a process that is not secured loads it, and not what makes certificates.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import type { CertificatePeriod } from "../../metrics/process_site.ts";

/** @param certificate PEM */
export function validityOf(certificate: string): CertificatePeriod {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) };
}

/** Those of one process, for metrics: reads a certificate again only if it is another one. */
export class CertificatePeriods {
  readonly #known = new Map<"server" | "authority", { pem: string; period: CertificatePeriod }>();

  /** @param pem what is shown now */
  periodOf(of: "server" | "authority", pem: string): CertificatePeriod {
    const known = this.#known.get(of);
    if (known?.pem === pem) return known.period;
    const period = validityOf(pem);
    this.#known.set(of, { pem, period });
    return period;
  }
}
