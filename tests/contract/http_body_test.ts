/**
 * Bodies of requests on a real port: what the reader of bodies relies on, and what it does with clients that do not keep to
 * what they have announced.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ByteBudget } from "../../shared/base/byte_budget.ts";
import { toKvError } from "../../shared/base/errors.ts";
import { listenHttp } from "../../shared/http/deno_http_server.ts";
import { type BodyAccount, readBody } from "../../shared/http/protocol/body.ts";
import { problemResponse } from "../../shared/http/protocol/problem.ts";
import { HTTP_BODY_TIMEOUT_MS } from "../../shared/limits/http.ts";
import { testAdmission } from "../support/doubles/test_admission.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const BYTES_MAX = 1_000;
const text = new TextEncoder();

/** A server that answers how long a body is. */
class BodyServer implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly budget = new ByteBudget(100_000);
  readonly #accounts = new WeakMap<Request, BodyAccount>();
  readonly #server;
  /** Called when a request has come. */
  onAsked = () => {};

  constructor() {
    this.#server = listenHttp(
      [{ host: "127.0.0.1", port: 0 }],
      (request, account) => this.#answer(request, account),
      testAdmission(),
    );
  }

  async #answer(request: Request, account: BodyAccount | undefined): Promise<Response> {
    if (account !== undefined) this.#accounts.set(request, account);
    const { clock, budget } = this;
    const limits = { clock, budget, accountOf: (asked: Request) => this.#accounts.get(asked) };
    try {
      const reading = readBody(request, BYTES_MAX, "value_too_large", limits);
      this.onAsked();
      const body = await reading;
      body.release();
      return new Response(`length ${body.bytes.length}`);
    } catch (error) {
      return problemResponse(toKvError(error));
    }
  }

  connect(): Promise<Deno.TcpConn> {
    const { host: hostname, port } = this.#server.address;
    return Deno.connect({ hostname, port });
  }

  /** What is answered until the server ends the connection, which it is asked to do. */
  async ask(head: string, body: string): Promise<string> {
    using connection = await this.connect();
    await connection.write(text.encode(`POST / HTTP/1.1\r\nhost: a\r\n${head}\r\n${body}`));
    return await readAll(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close(20);
  }
}

/** Everything up to the end, which may be a reset: the server does not read what is too long. */
async function readAll(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(10_000);
  let length = 0;
  try {
    for (let count: number | null = 0; count !== null;) {
      length += count;
      count = await connection.read(buffer.subarray(length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return new TextDecoder().decode(buffer.subarray(0, length));
}

function chunked(bytes: number): string {
  return `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n0\r\n\r\n`;
}

Deno.test("readBody: announced, in pieces, empty, and none at all", async () => {
  await using server = new BodyServer();
  const table: [head: string, body: string, length: number][] = [
    ["content-length: 3\r\n", "abc", 3],
    ["content-length: 0\r\n", "", 0],
    ["", "", 0],
    ["transfer-encoding: chunked\r\n", chunked(700), 700],
    [`content-length: ${BYTES_MAX}\r\n`, "x".repeat(BYTES_MAX), BYTES_MAX],
  ];
  for (const [head, body, length] of table) {
    assertStringIncludes(
      await server.ask(`${head}connection: close\r\n`, body),
      `length ${length}`,
    );
  }
  assertEquals([server.clock.timers, server.budget.taken], [0, 0]);
});

Deno.test("readBody: a body is bounded by what arrives, whatever was announced beside it", async () => {
  await using server = new BodyServer();
  for (
    const head of [
      "content-length: 3\r\ntransfer-encoding: chunked\r\n",
      "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
    ]
  ) {
    const answer = await server.ask(`${head}connection: close\r\n`, chunked(BYTES_MAX + 1));
    assert(/^HTTP\/1.1 4(00|13)/.test(answer), answer);
  }
  const longer = await server.ask("content-length: 3\r\nconnection: close\r\n", "abcdef");
  assertStringIncludes(longer, "length 3");
  assertEquals([server.clock.timers, server.budget.taken], [0, 0]);
});

Deno.test("readBody: a short body that does not come is given up, and its connection ends", async () => {
  await using server = new BodyServer();
  using connection = await server.connect();
  const asked = new Promise<void>((resolve) => server.onAsked = resolve);
  await connection.write(
    text.encode("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc"),
  );
  await asked;
  server.clock.advance(HTTP_BODY_TIMEOUT_MS);
  const answer = await readAll(connection);
  assertStringIncludes(answer, "HTTP/1.1 408");
  assertEquals([server.clock.timers, server.budget.taken], [0, 0]);
});
