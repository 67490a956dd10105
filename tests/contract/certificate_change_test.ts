/** A server's certificate changes while clients connect and ask: nothing is lost, and the new one is shown. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { KvError } from "../../shared/base/errors.ts";
import { listenHttp } from "../../shared/http/deno_http_server.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import { HeldServerCertificate } from "../../shared/platform/server_certificate.ts";
import type { Address, Stream } from "../../shared/platform/transport.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../../shared/security/certificate_authority.ts";
import { testAdmission } from "../support/doubles/test_admission.ts";

const CHANGES = 5;
const CLIENTS = 8;

/** A certificate that can be changed for another of the same authority. */
class Certificates {
  readonly #authority: CertificateAuthority;
  readonly ca: string;
  readonly held: HeldServerCertificate;

  private constructor(authority: CertificateAuthority, ca: string, held: HeldServerCertificate) {
    this.#authority = authority;
    this.ca = ca;
    this.held = held;
  }

  static async make(): Promise<Certificates> {
    const made = await createAuthority("test", Date.now());
    const authority = await CertificateAuthority.open(made);
    const first = await signed(authority);
    return new Certificates(authority, made.certificate, new HeldServerCertificate(first));
  }

  async change(): Promise<void> {
    this.held.change(await signed(this.#authority));
  }
}

async function signed(authority: CertificateAuthority) {
  const { request, key } = await createRequest();
  return { certificate: await authority.sign(request, ["127.0.0.1"], Date.now()), key };
}

/** The serial number of the certificate that a new connection is shown; undefined if it broke. */
function shownSerial({ host, port }: Address, ca: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca }, () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.once("close", () => resolve(serialNumber));
      socket.destroy();
    });
    socket.once(
      "error",
      (error: Error & { code?: string }) =>
        error.code === "ECONNRESET" ? resolve(undefined) : reject(error),
    );
  });
}

let echoing = 0;

/** What was sent comes back. */
function echo(stream: Stream): void {
  echoing++;
  stream.start({
    onData: (bytes) => stream.write(bytes.slice()),
    onClose: () => echoing--,
  });
}

/** The streams have ended, with the timers of their ends. */
async function echoed(): Promise<void> {
  while (echoing > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

/**
 * A connection whose handshake is done. One that is made in the moment of a change may break before; nothing was sent
 * over it.
 */
async function connected({ port }: Address, ca: string): Promise<Deno.TlsConn> {
  for (;;) {
    let connection: Deno.TlsConn | undefined;
    try {
      connection = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [ca] });
      await connection.handshake();
      return connection;
    } catch (error) {
      connection?.close();
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }
}

/** Sends a request, and waits for the answer. */
async function ask(connection: Deno.TlsConn, request: string, answer: RegExp): Promise<void> {
  await connection.write(new TextEncoder().encode(request));
  const buffer = new Uint8Array(4_096);
  let text = "";
  while (!answer.test(text)) {
    const count = await connection.read(buffer);
    assert(count !== null, `the connection ended after ${JSON.stringify(text)}`);
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
}

/** Runs clients until `work` has ended. One that fails fails all. */
async function underLoad(client: () => Promise<void>, work: () => Promise<void>): Promise<void> {
  let ended = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!ended) await client();
  });
  try {
    await Promise.race([work(), Promise.all(clients)]);
  } finally {
    ended = true;
  }
  await Promise.all(clients);
}

/** Waits until the clients have gone on by so much. */
async function goneOn(count: () => number, by: number): Promise<void> {
  const end = count() + by;
  while (count() < end) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** A server whose certificate changes while clients connect and ask, and over one connection that stands. */
async function changeUnderLoad(
  address: Address,
  certificates: Certificates,
  request: string,
  answer: RegExp,
): Promise<void> {
  const { ca } = certificates;
  const standing = await connected(address, ca);
  let asked = 0;
  await underLoad(async () => {
    using connection = await connected(address, ca);
    for (let n = 0; n < 3; n++) await ask(connection, request, answer);
    asked++;
  }, async () => {
    for (let n = 0; n < CHANGES; n++) {
      await goneOn(() => asked, CLIENTS);
      await certificates.change();
      await ask(standing, request, answer);
    }
    await goneOn(() => asked, CLIENTS);
  });
  standing.close();
  // The listener of before takes some for a moment. Then all are shown the last certificate.
  const wanted = new X509Certificate(certificates.held.current().certificate).serialNumber;
  for (let inARow = 0; inARow < 20;) {
    inARow = await shownSerial(address, ca) === wanted ? inARow + 1 : 0;
  }
}

Deno.test("DenoTransport: a change of the certificate loses no request, and counts for the next connections", async () => {
  const certificates = await Certificates.make();
  const transport = new DenoTransport(undefined, { server: certificates.held });
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, echo);
  await changeUnderLoad(listener.address, certificates, "hello", /^hello$/);
  listener.close();
  await echoed();
});

Deno.test("listenHttp: a change of the certificate loses no request, and counts for the next connections", async () => {
  const certificates = await Certificates.make();
  const server = listenHttp(
    [{ host: "127.0.0.1", port: 0 }],
    () => Promise.resolve(new Response("fine")),
    testAdmission(),
    { tls: certificates.held },
  );
  const request = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
  await changeUnderLoad(server.address, certificates, request, /\r\n\r\nfine$/);
  await server.close(1_000);
});

Deno.test("DenoTransport with a certificate: a port that is in use is not shared", async () => {
  const { held } = await Certificates.make();
  const transport = new DenoTransport(undefined, { server: held });
  const first = await transport.listen({ host: "127.0.0.1", port: 0 }, echo);
  const error = await assertRejects(() => transport.listen(first.address, echo), KvError);
  assertEquals(error.code, "address_in_use");
  first.close();
  // The system is told at the end of the turn.
  await new Promise((resolve) => setTimeout(resolve, 1));
  const again = await transport.listen(first.address, echo);
  assertEquals(again.address, first.address);
  again.close();
});

Deno.test("DenoTransport: a certificate that cannot be used leaves the one before", async () => {
  const { ca, held } = await Certificates.make();
  const told: string[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (event: string) => void told.push(event) };
  const transport = new DenoTransport(log, { server: held });
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, echo);
  const before = await shownSerial(listener.address, ca);
  held.change({ certificate: "none", key: held.current().key });
  assertEquals(told, ["the new certificate cannot be shown; the one before stays"]);
  assertEquals(await shownSerial(listener.address, ca), before);
  listener.close();
});
