/**
 * When a member has to get its next certificate: when two thirds of its time have gone, or when another authority signs
 * by now. It is looked at again and again, by the wall clock, since a machine may sleep and clocks are set; until the
 * certificate is there, it is asked for each time.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import {
  CERTIFICATE_BACKDATING_MS,
  RENEWAL_LOOK_MS_MAX,
  RENEWAL_LOOK_MS_MIN,
} from "../../limits/security.ts";
import { type Clock, type Timer } from "../../platform/clock.ts";
import { failureOf } from "../../base/errors.ts";
import type { Logger } from "../../platform/logger.ts";
import {
  HeldServerCertificate,
  type KeyedCertificate,
  type ServerCertificate,
} from "../../platform/server_certificate.ts";
import { validityOf } from "./certificate_periods.ts";

/** The time of a certificate, in milliseconds since 1970. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What is looked at. */
export interface Renewable {
  /** What the certificate says that is shown now. */
  certificate(): Validity;
  /** Whether the authority that signs now has signed it, and it says what it is to say. */
  isCurrent(): boolean;
  /** Asks for the next certificate. */
  renew(): void;
}

/** When two thirds of a certificate's time have gone. */
export function renewalDueMs({ fromMs, untilMs }: Validity): number {
  const lifetimeMs = untilMs - fromMs - CERTIFICATE_BACKDATING_MS;
  return untilMs - Math.floor(lifetimeMs / 3);
}

/** Whether an authority has signed a certificate; both are PEM. */
export function isSignedBy(certificate: string, authority: string): boolean {
  return new X509Certificate(certificate).verify(new X509Certificate(authority).publicKey);
}

/** Looks at one member's certificate until it is stopped. */
export class CertificateRenewal {
  readonly #clock: Clock;
  readonly #renewable: Renewable;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(clock: Clock, renewable: Renewable) {
    this.#clock = clock;
    this.#renewable = renewable;
    this.#wait();
  }

  /** Looks now: something has changed. */
  look(): void {
    if (this.#stopped) return;
    const { certificate, isCurrent, renew } = this.#renewable;
    if (this.#clock.wallMs() >= renewalDueMs(certificate()) || !isCurrent()) renew();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #wait(): void {
    const { fromMs, untilMs } = this.#renewable.certificate();
    const lifetimeMs = untilMs - fromMs - CERTIFICATE_BACKDATING_MS;
    const pauseMs = Math.max(RENEWAL_LOOK_MS_MIN, Math.min(lifetimeMs / 30, RENEWAL_LOOK_MS_MAX));
    this.#timer = this.#clock.setTimer(pauseMs, () => {
      this.look();
      this.#wait();
    });
  }
}

/** The server certificate of a process that is its own authority: made now, and again in time. */
export async function renewedServerCertificate(
  clock: Clock,
  log: Logger,
  { make, authority }: {
    make(): Promise<KeyedCertificate>;
    /** The authority that signs now, PEM. */
    authority(): string;
  },
): Promise<ServerCertificate> {
  const held = new HeldServerCertificate(await make());
  let isMaking = false;
  // It looks for as long as the process runs.
  new CertificateRenewal(clock, {
    certificate: () => validityOf(held.current().certificate),
    isCurrent: () => isSignedBy(held.current().certificate, authority()),
    renew: () => {
      if (isMaking) return;
      isMaking = true;
      make().then(
        (next) => held.change(next),
        (error) =>
          log.error("the certificate cannot be renewed", { error: failureOf(error).message }),
      ).finally(() => isMaking = false);
    },
  });
  return held;
}
