/**
 * What certificates are in the simulation: texts. A certificate names its member, cluster, serial number and authority,
 * and everybody may read it; who shows one is believed if its transport was made with the identity, which stands for
 * the key. The rules are those of `MemberTransport`, which is tested with real TLS in
 * `tests/contract/member_transport_test.ts`.
 *
 * @module
 */
import { invariant } from "../../../shared/base/errors.ts";
import { Secret } from "../../../shared/base/secret.ts";
import type {
  MemberCredentials,
  MemberIdentity,
  MemberName,
  MemberRole,
  WantedMember,
} from "../../../shared/platform/member_identity.ts";

/** How a process speaks TLS. */
export interface SimTls {
  /** What it shows, and whom it believes; undefined for one that only shows a server's certificate to clients. */
  readonly identity: MemberIdentity | undefined;
  /** Whether its ports let in those that show no certificate, as nobody. */
  readonly clients: boolean;
  /** An adversary's: it speaks to whoever is there. */
  readonly isCareless?: true;
}

/** What a member of the simulated cluster shows. */
export function simCredentials(
  authority: string,
  { id, role, cluster, serial }: {
    readonly id: string;
    readonly role: MemberRole;
    readonly cluster: string;
    readonly serial: string;
  },
): MemberCredentials {
  return {
    certificate: JSON.stringify({ id, role, cluster, serial, authority }),
    key: new Secret(""),
    authorities: [authority],
    cluster,
  };
}

/** Who is at either end of a stream, as the other end knows it; or why there is none. */
export interface Handshake {
  readonly caller?: MemberName | undefined;
  readonly called?: MemberName | undefined;
  readonly refusal?: string;
}

/** A connection begins. */
export function shakeHands(
  caller: SimTls | undefined,
  called: SimTls | undefined,
  wanted: WantedMember | undefined,
): Handshake {
  const theirs = called?.identity?.current();
  let calledName: MemberName | undefined;
  if (caller?.identity !== undefined && !caller.isCareless) {
    // As the real transport does: whoever shows a certificate says whom it wants.
    invariant(wanted !== undefined, "who connects to a member says to which");
    calledName = nameOf(theirs, caller.identity);
    const isIt = calledName?.role === wanted.role &&
      (wanted.id === undefined || calledName.id === wanted.id);
    if (!isIt) return { refusal: "its certificate is not that of the member that is looked for" };
  }
  if (called?.identity === undefined) return { called: calledName };
  const shown = caller?.identity?.current();
  if (shown === undefined) {
    return called.clients ? { called: calledName } : { refusal: "a certificate is required" };
  }
  const callerName = nameOf(shown, called.identity);
  if (callerName === undefined) return { refusal: "the certificate is refused" };
  return { caller: callerName, called: calledName };
}

/** Whom a certificate names to somebody who believes some authorities, and not what is revoked. */
function nameOf(
  shown: MemberCredentials | undefined,
  by: MemberIdentity,
): MemberName | undefined {
  if (shown === undefined) return undefined;
  const { id, role, cluster, serial, authority } = JSON.parse(shown.certificate);
  const ours = by.current();
  const isGood = ours.authorities.includes(authority) && cluster === ours.cluster &&
    !by.isRevoked(serial);
  return isGood ? { id, role, serial } : undefined;
}
