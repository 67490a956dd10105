/**
 * What the runtime's TLS does with certificates, as the peers' port of a secured member relies on it
 * (docs/decisions/0015-tls-servers.md). An upgrade of Deno must pass it.
 */
import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { connect, type ConnectionOptions, createServer, type Server, TLSSocket } from "node:tls";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CertificateAuthority,
  type CertificateRole,
  createAuthority,
  createRequest,
  identityOf,
  readCertificate,
  serverName,
} from "../../shared/security/certificate_authority.ts";

const NOW_MS = Date.now();
const DAY_MS = 86_400_000;
const HOST = "127.0.0.1";
const SERVER = { id: "aaaa", role: "node" } as const;

interface Keyed {
  readonly cert: string;
  readonly key: string;
}

async function newAuthority(): Promise<CertificateAuthority> {
  return await CertificateAuthority.open(await createAuthority("kv", NOW_MS));
}

async function issue(
  ca: CertificateAuthority,
  id: string,
  role: CertificateRole = "node",
  atMs = NOW_MS,
): Promise<Keyed> {
  const { request, key } = await createRequest();
  return { cert: await ca.sign(request, { id, role }, [HOST], atMs), key: key.reveal() };
}

/** A peers' port: who gets through is answered with its identity. */
class PeersPort implements AsyncDisposable {
  readonly served: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    // The TCP connections: one may stand that never gets through a handshake.
    server.on("connection", (socket) => this.#sockets.add(socket));
    server.on("secureConnection", (socket) => {
      socket.on("error", () => {});
      const { id, role } = identityOf(socket.getPeerCertificate().subject);
      this.served.push(`${socket.authorized} ${role} ${id} ${socket.getProtocol()}`);
      socket.on("data", () => socket.write(`${role} ${id}`));
    });
  }

  static async open(ca: CertificateAuthority, own: Keyed): Promise<PeersPort> {
    const server = createServer({
      ...own,
      ca: [ca.certificate],
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
    });
    const port = new PeersPort(server);
    server.listen(0, HOST);
    await once(server, "listening");
    return port;
  }

  get port(): number {
    const address = this.#server.address();
    assert(address !== null && typeof address === "object");
    return address.port;
  }

  renew(ca: CertificateAuthority, own: Keyed): void {
    this.#server.setSecureContext({ ...own, ca: [ca.certificate] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** An open connection. */
class Dialled {
  readonly socket: TLSSocket;
  #error: Error | undefined;

  constructor(port: number, options: ConnectionOptions) {
    this.socket = connect({ host: HOST, port, servername: serverName(SERVER), ...options });
    this.socket.on("error", (error) => this.#error = error);
  }

  /** What the server answers to a byte, or why it does not. */
  async ask(): Promise<string> {
    return await new Promise((resolve) => {
      this.socket.on("data", (bytes) => resolve(String(bytes)));
      this.socket.on("close", () => resolve(`refused ${this.#error?.message ?? ""}`.trim()));
      this.socket.write("x");
    });
  }
}

async function ask(port: number, options: ConnectionOptions): Promise<string> {
  const dialled = new Dialled(port, options);
  const answer = await dialled.ask();
  const closed = dialled.socket.closed ? undefined : once(dialled.socket, "close");
  dialled.socket.destroy();
  await closed;
  return answer;
}

Deno.test("node:tls: a peer without, with a foreign, an expired or an early certificate is refused", async () => {
  const [ours, foreign] = [await newAuthority(), await newAuthority()];
  const ca = [ours.certificate];
  await using server = await PeersPort.open(ours, await issue(ours, "aaaa"));
  const own = await issue(ours, "bbbb");
  const refused: Record<string, ConnectionOptions> = {
    none: { ca },
    foreign: { ca, ...await issue(foreign, "bbbb") },
    expired: { ca, ...await issue(ours, "bbbb", "node", NOW_MS - 91 * DAY_MS) },
    "not valid yet": { ca, ...await issue(ours, "bbbb", "node", NOW_MS + DAY_MS) },
    "self-signed": { ca, ...await selfSigned() },
    "TLS 1.2": { ca, ...own, maxVersion: "TLSv1.2" },
  };
  for (const [what, options] of Object.entries(refused)) {
    assertEquals((await ask(server.port, options)).slice(0, 7), "refused", what);
  }
  assertEquals(server.served, []);
  assertEquals(await ask(server.port, { ca, ...own }), "node bbbb");
  assertEquals(await ask(server.port, { ca, ...await issue(ours, "eve", "client") }), "client eve");
  assertEquals(server.served, ["true node bbbb TLSv1.3", "true client eve TLSv1.3"]);
});

async function selfSigned(): Promise<Keyed> {
  const { certificate, key } = await createAuthority("kv", NOW_MS);
  return { cert: certificate, key: key.reveal() };
}

Deno.test("node:tls: a server that is another member, or of another authority, is refused by name", async () => {
  const [ours, foreign] = [await newAuthority(), await newAuthority()];
  await using server = await PeersPort.open(ours, await issue(ours, "aaaa"));
  const own = await issue(ours, "bbbb");
  const ca = [ours.certificate];
  const wrong: Record<string, ConnectionOptions> = {
    "another id": { ca, ...own, servername: serverName({ id: "cccc", role: "node" }) },
    "another role": { ca, ...own, servername: serverName({ id: "aaaa", role: "coordinator" }) },
    "another authority": { ca: [foreign.certificate], ...own },
    "the system's authorities": { ...own },
  };
  for (const [what, options] of Object.entries(wrong)) {
    assertEquals((await ask(server.port, options)).slice(0, 7), "refused", what);
  }
  assertEquals(await ask(server.port, { ca, ...own }), "node bbbb");
});

Deno.test("node:tls: a renewed certificate is taken into use, and connections that stand stay", async () => {
  const ours = await newAuthority();
  const ca = [ours.certificate];
  const own = await issue(ours, "bbbb");
  await using server = await PeersPort.open(ours, await issue(ours, "aaaa"));
  const before = new Dialled(server.port, { ca, ...own });
  assertEquals(await before.ask(), "node bbbb");
  const renewed = await issue(ours, "aaaa");
  server.renew(ours, renewed);
  const after = new Dialled(server.port, { ca, ...own });
  assertEquals(await after.ask(), "node bbbb");
  const { serial } = await readCertificate(renewed.cert);
  assertEquals(after.socket.getPeerCertificate().serialNumber.toLowerCase(), serial);
  assertEquals(await before.ask(), "node bbbb");
  assertEquals(
    (await ask(server.port, { ca })).slice(0, 7),
    "refused",
    "certificates are still asked for",
  );
  for (const { socket } of [before, after]) {
    socket.destroy();
    await once(socket, "close");
  }
});

Deno.test("node:tls: tells of a handshake that does not come in time, and leaves its end to us", async () => {
  const ours = await newAuthority();
  const server = createServer({ ...await issue(ours, "aaaa"), handshakeTimeout: 50 });
  let accepted: Socket | undefined;
  server.on("connection", (socket) => accepted = socket);
  server.listen(0, HOST);
  await once(server, "listening");
  const address = server.address();
  assert(address !== null && typeof address === "object");
  const silent = connectPlain(address.port, HOST);
  silent.on("error", () => {});
  await once(server, "tlsClientError");
  accepted?.destroy();
  silent.destroy();
  server.close();
  await once(server, "close");
});

Deno.test("Deno.startTls: checks the member's name at whatever address it is", async () => {
  const [ours, foreign] = [await newAuthority(), await newAuthority()];
  const { cert, key } = await issue(ours, "aaaa");
  using listener = Deno.listenTls({ hostname: HOST, port: 0, cert, key });
  const { port } = listener.addr as Deno.NetAddr;
  const dial = async (hostname: string, caCert: string) => {
    const accepted = listener.accept();
    const plain = await Deno.connect({ hostname: HOST, port });
    const [client, server] = await Promise.all([
      Deno.startTls(plain, { hostname, caCerts: [caCert] }),
      accepted,
    ]);
    try {
      await Promise.all([client.handshake(), server.handshake()]);
    } finally {
      client.close();
      server.close();
    }
  };
  await dial(serverName(SERVER), ours.certificate);
  await assertRejects(() => dial(serverName({ id: "cccc", role: "node" }), ours.certificate));
  await assertRejects(() => dial(serverName(SERVER), foreign.certificate));
});
