/**
 * Seeded bugs of a secured cluster: who somebody is, and what they may do.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

export const SECURITY_MUTATIONS: readonly Mutation[] = [
  {
    name: "a heartbeat's seal is not looked at",
    file: "shared/security/datagram_channel.ts",
    edits: [[
      "    if (!timingSafeEqual(Buffer.from(mac), Buffer.from(wanted))) return undefined;\n",
      "    timingSafeEqual(Buffer.from(mac), Buffer.from(wanted));\n",
    ]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a repeated heartbeat is believed",
    file: "shared/security/datagram_channel.ts",
    edits: [["    if (counter <= this.#received) return undefined;\n", ""]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a hello's role is believed without a certificate",
    file: "shared/server/handshake.ts",
    edits: [[
      "if (secured !== true) return undefined;",
      "if (secured !== true || member === undefined) return undefined;",
    ]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a node is who it says, whatever its certificate says",
    file: "shared/server/handshake.ts",
    edits: [['(wanted === "coordinator" || node === member.id)', "true"]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "what was sent over a connection that expires is forgotten",
    file: "shared/wire/rpc_client.ts",
    edits: [[
      "this.#left.set(connection, this.#requests.leave());",
      "this.#left.set(connection, new RequestTable(0));",
    ]],
    seedsMax: 1,
    test: "tests/unit/shared/wire/rpc_client_test.ts",
  },
  {
    name: "nobody is told before a certificate ends",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [["if (expiringMs <= nowMs) connection.onExpiring();", ""]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
  {
    name: "a member that gets one certificate more loses the one by which it asks",
    file: "shared/security/security_document.ts",
    edits: [["valid.find(({ serial }) => serial !== by.serial)", "valid[0]"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/security_document_test.ts",
  },
  {
    name: "a rotation is finished without a look at who has a certificate of the new authority",
    file: "shared/security/security_document.ts",
    edits: [[
      "const missing = force ? [] : withoutNewest(document, nowMs);",
      "const missing: string[] = [];",
    ]],
    seedsMax: 1,
    test: "tests/unit/coordinator/secured_coordinator_test.ts",
  },
  {
    name: "a node asks whoever is at a coordinator's address for a map",
    file: "shared/routing/map_refresh.ts",
    edits: [[
      "new RpcClient(deps, seed, hello, {}, toCoordinator(hello))",
      "new RpcClient(deps, seed, hello)",
    ]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "a node's word for a later map stops the coordinator",
    file: "coordinator/membership/document_check.ts",
    edits: [["if (this.#seals !== undefined && !isShown)", "if (false && !isShown)"]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "nodes are not told of changed users",
    file: "coordinator/member_sessions.ts",
    edits: [["    for (const peer of this.#open.values()) peer.sendText(security);\n", ""]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "a seal is that of any map",
    file: "shared/security/map_seal.ts",
    edits: [["generation ?? null, epoch]", "generation ?? null]"]],
    seedsMax: 3,
    storm: "adversary",
  },
  {
    name: "a change of users that the disk has refused is acknowledged",
    file: "shared/security/security_keeper.ts",
    edits: [[
      "        done(toErrorReply(new KvError(code, text, { cause: error })));\n",
      '        done(code === undefined ? toErrorReply(new KvError(code, text)) : { req_type: "result", result });\n',
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/secured_node_server_test.ts",
  },
  {
    name: "users go back to a version that nodes have passed",
    file: "shared/security/security_keeper.ts",
    edits: [["Math.max(document.version, this.#seen.version + 1)", "document.version"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/security_keeper_test.ts",
  },
  {
    name: "whoever connects takes any member for the one that it looks for",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [[
      "if (role === wanted.role && (wanted.id === undefined || id === wanted.id)) return;",
      "if (role === wanted.role) return;",
    ], [
      "servername: memberServerName(wanted),",
      "servername: memberServerName({ role: wanted.role }),",
    ]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
  {
    name: "a connection outlives the certificate by which it was opened",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [["if (!isRevoked && nowMs <= untilMs) {", "if (!isRevoked) {"]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
  {
    name: "a revoked certificate counts",
    file: "shared/security/member_identity.ts",
    edits: [["return this.#revoked.has(serial);", "return this.#revoked.has(`not ${serial}`);"]],
    seedsMax: 5,
    storm: "adversary",
  },
  {
    name: "the requests of a batch are not judged",
    file: "node/server/node_server.ts",
    edits: [["          this.#logins?.admit(one, connection, undefined);\n", ""]],
    seedsMax: 10,
    storm: "adversary",
  },
  {
    name: "a client's word for whom its request is is believed",
    file: "shared/server/wire_logins.ts",
    edits: [[
      " else if (said !== undefined) throw notAMember(request);\n    const principal",
      "\n    const principal",
    ]],
    seedsMax: 10,
    storm: "adversary",
  },
  {
    name: "a scan may begin inside of what is granted and end outside",
    file: "shared/security/rights.ts",
    edits: [["compareKeys(range.end, span.end) <= 0", "compareKeys(range.end, span.end) >= -1"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/rights_test.ts",
  },
  {
    name: "the primary does not judge what another node passes on",
    file: "shared/server/wire_logins.ts",
    edits: [[
      "if (refusal !== undefined) throw refusal;",
      "if (refusal !== undefined && said === undefined) throw refusal;",
    ]],
    seedsMax: 1,
    test: "tests/unit/node/server/secured_node_server_test.ts",
  },
  {
    name: "a node registers as another one over its own session",
    file: "coordinator/member_sessions.ts",
    edits: [[
      "  if (message.node === node) return;\n",
      "  if (message.node !== undefined) return;\n",
    ]],
    seedsMax: 1,
    test: "tests/simulation/hostile_messages_test.ts",
  },
  {
    name: "an older document of users and roles takes the place of a newer one",
    file: "shared/security/access_control.ts",
    edits: [["    if (document.version <= this.#document.version) return;\n", ""]],
    seedsMax: 1,
    test: "tests/unit/shared/security/access_control_test.ts",
  },
  {
    name: "guesses that are under way do not count",
    file: "shared/security/login/login_throttle.ts",
    edits: [["return underWay === 0 ||", "return underWay >= 0 ||"]],
    seedsMax: 1,
    test: "tests/unit/shared/security/login/login_turns_test.ts",
  },
  {
    name: "a member's port looks at no revoked certificate",
    file: "shared/platform/deno/deno_member_transport.ts",
    edits: [[
      "    if (this.#identity.isRevoked(serial)) {\n",
      "    if (this.#identity.isRevoked(`not ${serial}`)) {\n",
    ]],
    seedsMax: 1,
    test: "tests/contract/member_transport_test.ts",
  },
];
