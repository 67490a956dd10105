import { assertEquals } from "@std/assert";
import { hello } from "../../../../shared/wire/hello.ts";
import { whyInvalid } from "../../../../shared/wire/message_checks.ts";
import { PROTOCOL_VERSION } from "../../../../shared/wire/messages.ts";

Deno.test("hello: names the protocol, the role and what else is said, and is a message of the table", () => {
  assertEquals(hello("client"), {
    req_type: "hello",
    protocol: PROTOCOL_VERSION,
    role: "client",
  });
  const said = hello("peer", { id: 0, node: "n1", to: "n2", cluster_id: undefined });
  assertEquals(JSON.parse(JSON.stringify(said)), {
    id: 0,
    req_type: "hello",
    protocol: PROTOCOL_VERSION,
    role: "peer",
    node: "n1",
    to: "n2",
  });
  assertEquals(whyInvalid({ ...said }), undefined);
});
