/**
 * What a server shows to clients, and that it may change while the server runs: certificates end, and are renewed
 * before that.
 *
 * @module
 */
import type { Secret } from "../base/secret.ts";

/** A certificate and its key, as PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: Secret;
}

/** The certificate that a server shows now, and word of the next. */
export interface ServerCertificate {
  current(): KeyedCertificate;
  /** Told after each change, perhaps also if the certificate is the same; any number may ask. */
  onChange(then: () => void): void;
}

/** A certificate that its owner changes. */
export class HeldServerCertificate implements ServerCertificate {
  readonly #told: (() => void)[] = [];
  #current: KeyedCertificate;

  constructor(first: KeyedCertificate) {
    this.#current = first;
  }

  current(): KeyedCertificate {
    return this.#current;
  }

  onChange(then: () => void): void {
    this.#told.push(then);
  }

  /** From now on this one is shown. */
  change(next: KeyedCertificate): void {
    this.#current = next;
    for (const then of this.#told) then();
  }
}
