/**
 * How a coordinator of a secured cluster proves its answers to whoever knows the cluster's authority: behind the
 * object and a newline stand the length of its certificate (two bytes), the certificate (DER) and an ECDSA signature
 * (SHA-256, 64 bytes) of the object's bytes. The object repeats the question's nonce and names cluster and address, so
 * nothing of it can be changed or used for another question.
 *
 * Pure, but for the cryptography, which is the runtime's.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, sign, verify, X509Certificate } from "node:crypto";
import { joinBytes } from "../base/join_bytes.ts";
import {
  type MemberCredentials,
  type MemberIdentity,
  normalSerial,
  type SubjectFields,
  subjectOf,
} from "../platform/member_identity.ts";

/** Whose answers are believed. */
export interface AnswerTrust {
  /** The authorities' certificates, PEM; a text may have several. */
  authorities(): readonly string[];
  /** Whether a coordinator's certificate counts no more; default: none is known of. */
  isRevoked?(serial: string): boolean;
}

/** So that nothing that the key signs elsewhere can be taken for an answer. */
const CONTEXT = new TextEncoder().encode("kv discovery answer\n");
const NEWLINE = new Uint8Array([10]);
const LENGTH_BYTES = 2;
const SIGNATURE_BYTES = 64;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const ENCODING = "ieee-p1363";

/** The datagram of an answer's object. */
export function signAnswer(body: Uint8Array, credentials: MemberCredentials): Uint8Array {
  const { raw } = new X509Certificate(credentials.certificate);
  const key = createPrivateKey(credentials.key.reveal());
  const signature = sign("sha256", joinBytes([CONTEXT, body]), { key, dsaEncoding: ENCODING });
  const length = new Uint8Array([raw.length >> 8, raw.length & 255]);
  return joinBytes([body, NEWLINE, length, raw, signature]);
}

/**
 * Whether what follows an answer's object proves that a coordinator of the cluster has said it.
 *
 * @param nowMs wall clock, milliseconds since 1970
 */
export function isSignedAnswer(
  body: Uint8Array,
  trailer: Uint8Array,
  cluster: string,
  trust: AnswerTrust,
  nowMs: number,
): boolean {
  const certificateBytes = ((trailer[0] ?? 0) << 8) + (trailer[1] ?? 0);
  if (trailer.length !== LENGTH_BYTES + certificateBytes + SIGNATURE_BYTES) return false;
  try {
    const certificate = new X509Certificate(
      Buffer.from(trailer.subarray(LENGTH_BYTES, LENGTH_BYTES + certificateBytes)),
    );
    const authorities = trust.authorities().flatMap((pem) => pem.match(PEM) ?? []);
    const isGood = authorities.some((pem) => isSignedBy(certificate, pem)) &&
      Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo) &&
      trust.isRevoked?.(normalSerial(certificate.serialNumber)) !== true;
    const { role, cluster: its } = subjectOf(fieldsOf(certificate.subject));
    return isGood && role === "coordinator" && its === cluster && verify(
      "sha256",
      joinBytes([CONTEXT, body]),
      { key: certificate.publicKey, dsaEncoding: ENCODING },
      trailer.subarray(LENGTH_BYTES + certificateBytes),
    );
  } catch {
    // Not a certificate, or of nobody.
    return false;
  }
}

function isSignedBy(certificate: X509Certificate, pem: string): boolean {
  const authority = new X509Certificate(pem);
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** `CN=…`, `OU=…` and `O=…`, a line each; a name that stands twice is a list. */
function fieldsOf(subject: string): SubjectFields {
  const fields: Record<string, string[]> = {};
  for (const line of subject.split("\n")) {
    const at = line.indexOf("=");
    (fields[line.slice(0, at)] ??= []).push(line.slice(at + 1));
  }
  return fields;
}

/** What a member of a secured cluster believes. */
export function trustOf(identity: MemberIdentity): AnswerTrust {
  return {
    authorities: () => identity.current().authorities,
    isRevoked: (serial) => identity.isRevoked(serial),
  };
}
