/**
 * Torture's proxies learn from the kernel which process is at the other end, whatever it sends.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { SocketOwners } from "../../torture/socket_owners.ts";

const CHILD = `
  const port = Number(Deno.args[0]);
  const to = { hostname: "127.0.0.1", port };
  using connection = await Deno.connect(to);
  const socket = Deno.listenDatagram({ hostname: "0.0.0.0", port: 0, transport: "udp" });
  await socket.send(new Uint8Array([1]), { ...to, transport: "udp" });
  await connection.read(new Uint8Array(1));
`;

Deno.test({
  name: "SocketOwners: the process that has connected, and the one that has sent a datagram",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = listener.addr;
    const datagrams = Deno.listenDatagram({ hostname, port, transport: "udp" });
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-config", "--unstable-net", CHILD, String(port)],
      stdin: "null",
    }).spawn();
    const owners = new SocketOwners(() => [["child", child.pid], ["this", Deno.pid]]);
    const theirs = await listener.accept();
    const [, from] = await datagrams.receive();
    assertEquals(owners.ownerOf({ from: theirs.remoteAddr, to: theirs.localAddr }), "child");
    assertEquals(owners.ownerOf({ from: from as Deno.NetAddr }), "child");
    assertEquals(owners.ownerOf({ from: from as Deno.NetAddr }), "child");

    using ours = await Deno.connect({ hostname, port });
    using accepted = await listener.accept();
    assertEquals(owners.ownerOf({ from: accepted.remoteAddr, to: accepted.localAddr }), "this");
    assertEquals(owners.ownerOf({ from: ours.localAddr, to: ours.localAddr }), undefined);

    theirs.close();
    datagrams.close();
    assertEquals((await child.status).code, 0);
  },
});
