/**
 * Who a process of a secured cluster is to the others, and who they are to it: the certificate that it shows, the
 * authorities that it trusts, and what the names in a certificate mean. How certificates are made is for
 * `shared/security/`, how they are shown and checked for the transport.
 *
 * Invariants: a name was verified (signed by an authority of the cluster, within its time, key proven) before it
 * is a {@linkcode MemberName}; what is not exactly a member's certificate of this cluster names nobody.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";

/** What a member of a cluster is. */
export type MemberRole = "node" | "coordinator";

/** Whom a certificate of a member names. */
export interface MemberSubject {
  /** CN: the id of the node or coordinator. */
  readonly id: string;
  /** OU. */
  readonly role: MemberRole;
  /** O: the id of the cluster. */
  readonly cluster: string;
}

/** The member at the other end of a connection, as its verified certificate names it. */
export interface MemberName {
  readonly id: string;
  readonly role: MemberRole;
  /** Of the certificate: lower-case hexadecimal, without leading zeros. */
  readonly serial: string;
}

/** Which member is looked for: any of a role, or one. */
export interface WantedMember {
  readonly role: MemberRole;
  readonly id?: string | undefined;
}

/** What a member shows, and whom it believes. */
export interface MemberCredentials {
  /** Its certificate, PEM. */
  readonly certificate: string;
  readonly key: Secret;
  /** The authorities' certificates, PEM: more than one while the authority is rotated. */
  readonly authorities: readonly string[];
  /** The cluster's id: what the certificates of its members have as O. */
  readonly cluster: string;
}

/** What a process is to the other members; it changes while the process runs. */
export interface MemberIdentity {
  current(): MemberCredentials;
  /** Whether a certificate (its serial as in {@linkcode MemberName}) counts no more. */
  isRevoked(serial: string): boolean;
  /** Told after each change of the credentials or of what is revoked; any number may ask. */
  onChange(then: () => void): void;
}

/** A member's id: what stands in a name of a certificate without an escape. */
const MEMBER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Whether a text can be the id of a member or cluster in a certificate. */
export function isMemberId(text: string): boolean {
  return MEMBER_ID.test(text);
}

/** The names of a certificate, as `node:tls` and an X.509 library show them. */
export interface SubjectFields {
  readonly CN?: string | readonly string[] | undefined;
  readonly OU?: string | readonly string[] | undefined;
  readonly O?: string | readonly string[] | undefined;
}

/**
 * Whom the names of a certificate name.
 *
 * @throws {KvError} `unauthorized` unless there is one CN, one OU and one O, and they are a member's
 */
export function subjectOf({ CN, OU, O }: SubjectFields): MemberSubject {
  const [id, role, cluster] = [one(CN), one(OU), one(O)];
  if (
    id === undefined || cluster === undefined || !isMemberId(id) || !isMemberId(cluster) ||
    (role !== "node" && role !== "coordinator")
  ) {
    throw new KvError("unauthorized", "the certificate does not name a member of a cluster");
  }
  return { id, role, cluster };
}

/** A serial number as {@linkcode MemberName} has it. */
export function normalSerial(hexadecimal: string): string {
  return hexadecimal.toLowerCase().replace(/^0+(?=.)/, "");
}

/**
 * The names under which TLS checks that a server is the member that is looked for, wherever it listens: of the
 * one member, and of any of its role. They are in no DNS: `.internal` is reserved for private use.
 */
export function memberServerName({ role, id }: WantedMember): string {
  return (id === undefined ? `${role}.kv.internal` : `${id}.${role}.kv.internal`).toLowerCase();
}

function one(names: string | readonly string[] | undefined): string | undefined {
  const [first, ...others] = [names ?? []].flat();
  return others.length === 0 ? first : undefined;
}
