/**
 * The cluster's own certificate authority: it makes itself, and signs certificates for servers and members. ASN.1, signatures and
 * keys are those of `@peculiar/x509` and WebCrypto (decision 0014); here is only what a certificate of this cluster contains.
 *
 * Invariants: whom a certificate names comes from the caller, and never from the request that is signed; a
 * request is signed only if it proves that its sender has the key, which never leaves the sender; a certificate does not outlive its authority.
 *
 * @module
 */
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { KvError, messageOf } from "../base/errors.ts";
import {
  AUTHORITY_LIFETIME_MS,
  CERTIFICATE_BACKDATING_MS,
  CERTIFICATE_LIFETIME_MS,
  CERTIFICATE_REQUEST_CHARACTERS_MAX,
} from "../limits/security.ts";
import { Secret } from "../base/secret.ts";
import type { KeyedCertificate } from "../platform/server_certificate.ts";
import {
  isMemberId,
  memberServerName,
  type MemberSubject,
  normalSerial,
  subjectOf,
} from "../platform/member_identity.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOST = /^[A-Za-z0-9.:_-]{1,253}$/;
/** The end of the names that `memberServerName` makes. */
const MEMBER_NAMES = ".kv.internal";
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

cryptoProvider.set(crypto);

/** A new authority for a cluster. @param name of the cluster, for people */
export async function createAuthority(name: string, nowMs: number): Promise<KeyedCertificate> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // No two of a cluster have the same name: those who build chains would try the wrong one first.
    name: [
      { CN: [`${name} certificate authority of ${new Date(nowMs).toISOString()}`] },
      { OU: ["authority"] },
    ],
    ...period(nowMs, nowMs + AUTHORITY_LIFETIME_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      // It signs members, and the authority that follows it.
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: certificate.toString("pem"), key: await exportKey(keys) };
}

/** A new key, and a request for a certificate that proves that its sender has it. */
export async function createRequest(): Promise<{ request: string; key: Secret }> {
  const keys = await newKeys();
  // Whoever signs it says whom the certificate names.
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return { request: request.toString("pem"), key: await exportKey(keys) };
}

/** Signs for one cluster. */
export class CertificateAuthority {
  /** PEM. */
  readonly certificate: string;
  readonly #certificate: X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: X509Certificate, key: CryptoKey) {
    this.certificate = certificate.toString("pem");
    this.#certificate = certificate;
    this.#key = key;
  }

  /** @throws {KvError} `corrupt` if certificate or key cannot be read or do not belong together */
  static async open(kept: KeyedCertificate): Promise<CertificateAuthority> {
    try {
      const certificate = new X509Certificate(kept.certificate);
      const [bytes = new ArrayBuffer(0)] = PemConverter.decode(kept.key.reveal());
      const key = await crypto.subtle.importKey("pkcs8", bytes, ALGORITHM, false, ["sign"]);
      const probe = new Uint8Array(32);
      const signature = await crypto.subtle.sign(ALGORITHM, key, probe);
      const publicKey = await certificate.publicKey.export(ALGORITHM, ["verify"]);
      if (!await crypto.subtle.verify(ALGORITHM, publicKey, signature, probe)) {
        throw new Error("its key belongs to another certificate");
      }
      return new CertificateAuthority(certificate, key);
    } catch (error) {
      // The cause may show a piece of the key.
      throw new KvError(
        "corrupt",
        `the certificate authority cannot be used: ${messageOf(error).slice(0, 100)}`,
      );
    }
  }

  /**
   * The certificate of a server that clients reach, as PEM, for whoever sent the request.
   *
   * @param hosts names and addresses at which clients reach it
   * @throws {KvError} `bad_request` if the request is no proof of a key on P-256, or a host is not one;
   *   `unavailable` if the authority itself has ended
   */
  async sign(request: string, hosts: readonly string[], nowMs: number): Promise<string> {
    return await this.#sign(request, nowMs, {
      subject: [{ OU: ["node"] }],
      usages: [ExtendedKeyUsage.serverAuth],
      names: hosts.map(reachedAt),
    });
  }

  /**
   * Vouches for the authority that follows this one: whoever trusts this one alone can follow the chain from a
   * certificate of the next one.
   *
   * @param next the certificate of the next authority, PEM
   * @throws {KvError} `bad_request` if it is no certificate
   */
  async bridgeTo(next: string, nowMs: number): Promise<string> {
    let read: X509Certificate;
    try {
      read = new X509Certificate(next);
    } catch (error) {
      throw new KvError("bad_request", `not a certificate: ${messageOf(error).slice(0, 100)}`);
    }
    const publicKey = await read.publicKey.export(ALGORITHM, ["verify"]);
    const bridge = await X509CertificateGenerator.create({
      subject: read.subject,
      issuer: this.#certificate.subject,
      ...period(nowMs, this.#certificate.notAfter.getTime()),
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return bridge.toString("pem");
  }

  /**
   * A member's certificate, as PEM: it shows it to other members at both ends of a connection, and to clients.
   *
   * @param member whom it names, as the caller has found out
   * @param hosts names and addresses at which clients reach it
   * @throws {KvError} as {@linkcode sign}; `bad_request` if an id cannot stand in a certificate
   */
  async signMember(
    request: string,
    member: MemberSubject,
    hosts: readonly string[],
    nowMs: number,
    lifetimeMs: number = CERTIFICATE_LIFETIME_MS,
  ): Promise<string> {
    const { id, role, cluster } = member;
    if (!isMemberId(id) || !isMemberId(cluster)) {
      throw new KvError(
        "bad_request",
        `a ${role}'s certificate needs an id of 1 to 63 letters, digits, ".", "_" or "-"`,
      );
    }
    const names = [memberServerName({ role, id }), memberServerName({ role })];
    return await this.#sign(request, nowMs, {
      subject: [{ CN: [id] }, { OU: [role] }, { O: [cluster] }],
      usages: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
      names: [...names.map(alternativeName), ...hosts.map(reachedAt)],
    }, lifetimeMs);
  }

  async #sign(
    request: string,
    nowMs: number,
    { subject, usages, names }: {
      subject: JsonName;
      usages: ExtendedKeyUsage[];
      names: AlternativeName[];
    },
    lifetimeMs: number = CERTIFICATE_LIFETIME_MS,
  ): Promise<string> {
    const publicKey = await provenKey(request);
    const until = Math.min(nowMs + lifetimeMs, this.#certificate.notAfter.getTime());
    if (until <= nowMs) {
      throw new KvError(
        "unavailable",
        "the certificate authority has ended, see docs/security.md",
      );
    }
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: this.#certificate.subject,
      ...period(nowMs, until),
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(usages),
        new SubjectAlternativeNameExtension(names),
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return certificate.toString("pem");
  }
}

/** What a member's certificate says. */
export interface MemberCertificate {
  readonly subject: MemberSubject;
  /** As in {@linkcode MemberName}. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * Reads what a member's certificate says. It does not say that it is genuine: TLS has checked that before.
 *
 * @param certificate PEM; others may follow it in the text
 * @throws {KvError} `bad_request` if it is no certificate, `unauthorized` if it is none of a member
 */
export function readMemberCertificate(certificate: string): MemberCertificate {
  let read: X509Certificate;
  try {
    read = new X509Certificate(PemConverter.decode(certificate)[0] ?? new ArrayBuffer(0));
  } catch (error) {
    throw new KvError("bad_request", `not a certificate: ${messageOf(error).slice(0, 100)}`);
  }
  const { subjectName: name } = read;
  const [CN, OU, O] = [name.getField("CN"), name.getField("OU"), name.getField("O")];
  return {
    subject: subjectOf({ CN, OU, O }),
    serial: normalSerial(read.serialNumber),
    fromMs: read.notBefore.getTime(),
    untilMs: read.notAfter.getTime(),
  };
}

interface AlternativeName {
  readonly type: "dns" | "ip";
  readonly value: string;
}

/** A name or address at which clients reach a server: never one by which members know each other. */
function reachedAt(host: string): AlternativeName {
  if (!host.toLowerCase().endsWith(MEMBER_NAMES)) return alternativeName(host);
  throw new KvError("bad_request", `a host of a certificate may not end with ${MEMBER_NAMES}`);
}

function alternativeName(host: string): AlternativeName {
  if (!HOST.test(host)) throw new KvError("bad_request", "a host of a certificate is malformed");
  return { type: IPV4.test(host) || host.includes(":") ? "ip" : "dns", value: host };
}

/** @throws {KvError} `bad_request` */
async function provenKey(request: string): Promise<CryptoKey> {
  if (request.length > CERTIFICATE_REQUEST_CHARACTERS_MAX) {
    throw new KvError(
      "bad_request",
      `a certificate request may have ${CERTIFICATE_REQUEST_CHARACTERS_MAX} characters`,
    );
  }
  try {
    const parsed = new Pkcs10CertificateRequest(request);
    if (!await parsed.verify()) throw new Error("its signature is wrong");
    return await parsed.publicKey.export(ALGORITHM, ["verify"]);
  } catch (error) {
    throw new KvError(
      "bad_request",
      `not a certificate request of a key on P-256: ${messageOf(error).slice(0, 100)}`,
    );
  }
}

async function newKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey({ privateKey }: CryptoKeyPair): Promise<Secret> {
  const bytes = await crypto.subtle.exportKey("pkcs8", privateKey);
  return new Secret(PemConverter.encode(bytes, "PRIVATE KEY"));
}

/** Clocks differ a little: what was signed just now is valid everywhere. */
function period(fromMs: number, untilMs: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(fromMs - CERTIFICATE_BACKDATING_MS), notAfter: new Date(untilMs) };
}
