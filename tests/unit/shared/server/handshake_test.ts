import { assertEquals } from "@std/assert";
import type { Seat } from "../../../../shared/admission/seat.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { greet, type Greeted } from "../../../../shared/server/handshake.ts";
import type { MemberName } from "../../../../shared/platform/member_identity.ts";
import type { Connection } from "../../../../shared/wire/connection.ts";
import { type Message, PROTOCOL_VERSION } from "../../../../shared/wire/messages.ts";

const NODE: Greeted = {
  kind: "node",
  nodeId: "n1",
  clusterId: () => "c1",
  hasPlace: (node) => node === "n2",
};
const COORDINATOR: Greeted = { ...NODE, kind: "coordinator" };

/** What comes of a hello: the rights and the place, or the code of the refusal. */
function say(
  greeted: Greeted,
  fields: Partial<Message<"hello">>,
  isFirst = true,
  connection: { peer: unknown; member?: MemberName } = { peer: undefined },
): string {
  const hello: Message<"hello"> = {
    req_type: "hello",
    protocol: PROTOCOL_VERSION,
    role: "client",
    ...fields,
  };
  let place = "";
  const seat = { becomePeer: (name: string) => void (place = ` as ${name}`) } as Seat;
  try {
    const identity = greet(hello, greeted, {
      connection: connection as Connection,
      seat,
      isFirst,
    });
    assertEquals(connection.peer, identity);
    return `${identity.rights}${place}`;
  } catch (error) {
    assertEquals([connection.peer, place], [undefined, ""], "what is refused has no identity");
    return error instanceof KvError ? error.code : String(error);
  }
}

Deno.test("greet: what a caller is, and what it may do, follow from its role and from whom it greets", () => {
  const node = { node: "n2", cluster_id: "c1" };
  const rows: [Partial<Message<"hello">>, atNode: string, atCoordinator: string][] = [
    [{}, "requests", "requests"],
    [{ role: "gateway" }, "requests as a coordinator", "requests"],
    [{ role: "coordinator", cluster_id: "c1" }, "bad_request", "agreement as a coordinator"],
    [{ role: "coordinator", cluster_id: "c2" }, "bad_request", "wrong_cluster"],
    [{ ...node, role: "node" }, "requests as node n2", "requests as node n2"],
    [{ ...node, role: "peer" }, "replication as node n2", "bad_request"],
    [{ ...node, role: "member" }, "bad_request", "membership as node n2"],
    // A node that the map does not name has no place of its own.
    [{ ...node, node: "n9", role: "peer" }, "replication", "bad_request"],
    [{ protocol: 99 }, "wrong_version", "wrong_version"],
    [{ cluster_id: "c2" }, "wrong_cluster", "wrong_cluster"],
    [{ ...node, role: "peer", cluster_id: "c2" }, "wrong_cluster", "bad_request"],
    [{ ...node, role: "member", cluster_id: "c2" }, "bad_request", "wrong_cluster"],
    [{ to: "n3" }, "unavailable", "requests"],
    [{ to: "n1" }, "requests", "requests"],
    [{ role: "peer", node: "n2" }, "bad_request", "bad_request"],
    [{ role: "peer", cluster_id: "c1" }, "bad_request", "bad_request"],
    [{ role: "member" }, "bad_request", "bad_request"],
    // A node that has not joined yet knows no cluster.
    [{ role: "member", node: "n2" }, "bad_request", "membership as node n2"],
  ];
  for (const [hello, atNode, atCoordinator] of rows) {
    const text = JSON.stringify(hello);
    assertEquals([say(NODE, hello), say(COORDINATOR, hello)], [atNode, atCoordinator], text);
  }
});

Deno.test("greet: in a secured process a member is who its certificate says, and nobody else", () => {
  const n2: MemberName = { id: "n2", role: "node", serial: "1" };
  const n3: MemberName = { id: "n3", role: "node", serial: "2" };
  const coordinator: MemberName = { id: "c", role: "coordinator", serial: "3" };
  const node = { node: "n2", cluster_id: "c1" };
  type Row = [Partial<Message<"hello">>, MemberName | undefined, node: string, coordinator: string];
  const rows: Row[] = [
    [{}, undefined, "requests", "requests"],
    [{}, n2, "forbidden", "forbidden"],
    [{}, coordinator, "forbidden", "forbidden"],
    [{ ...node, role: "node" }, undefined, "forbidden", "forbidden"],
    [{ ...node, role: "node" }, n2, "requests as node n2", "requests as node n2"],
    [{ ...node, role: "node" }, n3, "forbidden", "forbidden"],
    [{ ...node, role: "node" }, coordinator, "forbidden", "forbidden"],
    [{ ...node, role: "peer" }, undefined, "forbidden", "forbidden"],
    [{ role: "coordinator" }, undefined, "forbidden", "forbidden"],
    [{ role: "coordinator" }, n2, "forbidden", "forbidden"],
    [{ role: "coordinator" }, coordinator, "bad_request", "agreement as a coordinator"],
    [{ ...node, role: "peer" }, n2, "replication as node n2", "bad_request"],
    [{ ...node, role: "peer" }, n3, "forbidden", "forbidden"],
    [{ role: "peer", cluster_id: "c1" }, n2, "forbidden", "forbidden"],
    [{ ...node, role: "member" }, undefined, "forbidden", "forbidden"],
    [{ ...node, role: "member" }, n2, "bad_request", "membership as node n2"],
    [{ ...node, role: "member" }, n3, "forbidden", "forbidden"],
    [{ role: "gateway" }, undefined, "forbidden", "forbidden"],
    [{ role: "gateway" }, n2, "forbidden", "forbidden"],
    [{ role: "gateway" }, coordinator, "requests as a coordinator", "requests"],
    [{ role: "coordinator" }, n2, "forbidden", "forbidden"],
    // An older program is told so before it is asked for a certificate.
    [{ ...node, role: "peer", protocol: 99 }, undefined, "wrong_version", "wrong_version"],
  ];
  for (const [hello, member, atNode, atCoordinator] of rows) {
    const at = (greeted: Greeted) => {
      const connection = { peer: undefined, ...(member === undefined ? {} : { member }) };
      return say({ ...greeted, secured: true }, hello, true, connection);
    };
    const text = JSON.stringify([hello, member]);
    assertEquals([at(NODE), at(COORDINATOR)], [atNode, atCoordinator], text);
  }
});

Deno.test("greet: JSON null stands for an absent field", () => {
  const hello = { cluster_id: null, to: null, node: null } as unknown as Partial<Message<"hello">>;
  assertEquals([say(NODE, hello), say(COORDINATOR, hello)], ["requests", "requests"]);
});

Deno.test("greet: a peer says it first, and nobody says it twice", () => {
  const node = { node: "n2", cluster_id: "c1" };
  assertEquals(say(NODE, { ...node, role: "peer" }, false), "bad_request");
  assertEquals(say(COORDINATOR, { ...node, role: "member" }, false), "bad_request");
  assertEquals(say(NODE, {}, false), "requests");
  const hello: Message<"hello"> = {
    req_type: "hello",
    protocol: PROTOCOL_VERSION,
    role: "client",
  };
  const connection = { peer: undefined } as unknown as Connection;
  const seat = {} as Seat;
  const first = greet(hello, NODE, { connection, seat, isFirst: true });
  let code: string | undefined;
  try {
    greet({ ...hello, role: "gateway" }, NODE, { connection, seat, isFirst: true });
  } catch (error) {
    code = error instanceof KvError ? error.code : String(error);
  }
  assertEquals([code, connection.peer], ["bad_request", first]);
});

Deno.test("greet: a node that belongs to no cluster takes no peers", () => {
  const fresh: Greeted = { ...NODE, clusterId: () => undefined };
  assertEquals(say(fresh, { role: "peer", node: "n2", cluster_id: "c1" }), "unavailable");
  assertEquals(say(fresh, {}), "requests");
});
