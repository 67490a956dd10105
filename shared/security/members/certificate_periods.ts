/** When the certificates of a process are good, for metrics. @module */
import type { CertificatePeriod } from "../../metrics/process_site.ts";
import { validityOf } from "./certificate_renewal.ts";

/** Reads a certificate again only if it is another one. */
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
