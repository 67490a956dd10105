/**
 * Finds out whether the runtime's TLS server looks at certificates of those who connect, by asking it. Versions
 * before 2.9 ask for none although they are told to, and accept everybody in silence; a number of a version would not
 * say which runtime is inside of an executable, nor what the next one does.
 *
 * @module
 */
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { KvError } from "../../base/errors.ts";
import { connectedTo, TlsConnection } from "./deno_tls_connection.ts";

/** An authority that has signed nothing; nobody has its key. */
const STRANGER = `-----BEGIN CERTIFICATE-----
MIIBvjCCAWOgAwIBAgIQTc/qwng8yWMGFyUOdtBWaTAKBggqhkjOPQQDAjA9MScw
JQYDVQQDEx5zdHJhbmdlciBjZXJ0aWZpY2F0ZSBhdXRob3JpdHkxEjAQBgNVBAsT
CWF1dGhvcml0eTAeFw0yNjExMjkyMjE1NDFaFw0zNjExMjYyMjIwNDFaMD0xJzAl
BgNVBAMTHnN0cmFuZ2VyIGNlcnRpZmljYXRlIGF1dGhvcml0eTESMBAGA1UECxMJ
YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfLWpVgA/d+Gw0pNU
QtF09ewzFJJT0IBfoKFgz+NjxPKzsfcIbcZsVTX6r5cVe/qRNRGhhzPdo6s0h3EX
9dcIGqNFMEMwEgYDVR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMCAQYwHQYD
VR0OBBYEFC2023JzcGHQuQf1fMFhd0R51r+gMAoGCCqGSM49BAMCA0kAMEYCIQCO
NJuX+o2luvvx2XcdjrO4VBm/FvQogmTRpDlKbeAS7QIhAJ83Y+QLjUBLpuN48H0o
dW1LRfcZVqqZ01UHc4tJUVEQ
-----END CERTIFICATE-----`;

/** Who must not get through: how the server is set up, and what the caller shows. */
const CASES: readonly {
  readonly what: string;
  readonly isRequired: boolean;
  readonly showsCertificate: boolean;
}[] = [
  { what: "without a certificate", isRequired: true, showsCertificate: false },
  { what: "with a stranger's certificate", isRequired: true, showsCertificate: true },
  { what: "without a certificate", isRequired: false, showsCertificate: false },
  { what: "with a stranger's certificate", isRequired: false, showsCertificate: true },
];

/**
 * Connects with itself on loopback as those who must not get through.
 *
 * @param shown a certificate with its key, and authorities
 * @param accept the server that is asked; for tests
 * @throws {KvError} `bad_config` if one of them counts as verified
 */
export async function checkCertificatesCount(
  shown: SecureContextOptions,
  accept: typeof TlsConnection.accept = TlsConnection.accept,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const { ca, cert, key, ...rest } = shown;
  for (const { what, isRequired, showsCertificate } of CASES) {
    const [raw, tcp] = await Promise.all([
      connectedTo({ host: "127.0.0.1", port }),
      listener.accept(),
    ]);
    let counts = false;
    const options: TlsOptions = {
      ...shown,
      ...(showsCertificate ? { ca: STRANGER } : {}),
      requestCert: true,
      rejectUnauthorized: isRequired,
    };
    const server = accept(tcp, options, (socket) => {
      counts = isRequired || socket.authorized;
      return undefined;
    });
    const client = TlsConnection.dial(
      raw,
      // Who is asked does not matter here.
      { ...rest, ...(showsCertificate ? { cert, key } : {}), ca, rejectUnauthorized: false },
      () => undefined,
    );
    await server.admitted.catch(() => {});
    await client.admitted.catch(() => {});
    client.close();
    server.close();
    if (!counts) continue;
    throw new KvError(
      "bad_config",
      `this runtime (Deno ${Deno.version.deno}) lets in a member ${what}: secured, it needs Deno 2.9 or newer`,
    );
  }
}
