/**
 * A member's identity in memory: what it was given last. Whoever keeps it on disk, renews it or hears of revoked
 * certificates tells it so; the transport listens.
 *
 * @module
 */
import type { MemberCredentials, MemberIdentity } from "../platform/member_identity.ts";

/** Holds what a member shows, and what counts no more. */
export class HeldMemberIdentity implements MemberIdentity {
  #credentials: MemberCredentials;
  #revoked: ReadonlySet<string>;
  readonly #listeners: (() => void)[] = [];

  /** @param revoked serials of revoked certificates */
  constructor(credentials: MemberCredentials, revoked: Iterable<string> = []) {
    this.#credentials = credentials;
    this.#revoked = new Set(revoked);
  }

  current(): MemberCredentials {
    return this.#credentials;
  }

  isRevoked(serial: string): boolean {
    return this.#revoked.has(serial);
  }

  onChange(then: () => void): void {
    this.#listeners.push(then);
  }

  /** A renewed certificate, or other authorities. */
  renew(credentials: MemberCredentials): void {
    this.#credentials = credentials;
    this.#tell();
  }

  /** All serials that count no more. */
  setRevoked(serials: Iterable<string>): void {
    this.#revoked = new Set(serials);
    this.#tell();
  }

  #tell(): void {
    for (const then of this.#listeners) then();
  }
}
