/**
 * The HTTP front end was closed while a client still owed the rest of a body that nobody reads. The platform's
 * shutdown waits for it, and breaking it off once that has begun is an error that nobody can catch: the
 * process ended by it, instead of saying why it does not start.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { testAdmission } from "../support/doubles/test_admission.ts";
import { listenHttp } from "../../shared/http/deno_http_server.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

Deno.test("listenHttp: closes in time if a client owes a body that was answered without", async () => {
  const server = listenHttp([LOOPBACK], () => Promise.resolve(new Response("no")), testAdmission());
  const { hostname, port } = { hostname: server.address.host, port: server.address.port };
  const connection = await Deno.connect({ hostname, port });
  const head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
  await connection.write(new TextEncoder().encode(head));
  await connection.read(new Uint8Array(1_000));
  await server.close(20);
  connection.close();
});

Deno.test("listenHttp: breaks off what is still under way when its time is up", async () => {
  let began = () => {};
  const underWay = new Promise<void>((resolve) => began = resolve);
  let end = () => {};
  const server = listenHttp([LOOPBACK], async () => {
    began();
    await new Promise<void>((resolve) => end = resolve);
    return new Response("late");
  }, testAdmission());
  const { host, port } = server.address;
  const fetched = fetch(`http://${host}:${port}/`).then(async (response) => {
    await response.body?.cancel();
    return "answered";
  }, () => "broken off");
  await underWay;
  await server.close(20);
  end();
  assertEquals(await fetched, "broken off");
  await assertRejects(() => Deno.connect({ hostname: host, port }), Deno.errors.ConnectionRefused);
});
