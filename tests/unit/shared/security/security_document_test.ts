import { assertEquals, assertThrows } from "@std/assert";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import {
  CERTIFICATES_OPEN_PER_MEMBER_MAX,
  CERTIFICATES_PER_MEMBER_MAX,
  GRANTS_PER_ROLE_MAX,
  JUDGED_CHARACTERS_MAX,
  TOKENS_MAX,
  USERS_MAX,
} from "../../../../shared/limits/security.ts";
import type { Grant } from "../../../../shared/security/rights.ts";
import {
  addCertificate,
  addJoinToken,
  addToken,
  addUser,
  changeUser,
  grantsOf,
  judgedPart,
  judgesAlike,
  newSecurityDocument,
  parseSecurityDocument,
  removeRole,
  removeUser,
  revokeCertificates,
  revokeToken,
  roomForCertificate,
  rotateAuthority,
  type SecurityDocument,
  setRole,
  validCertificates,
} from "../../../../shared/security/security_document.ts";
import { HASH, OTHER_HASH, SEAL_KEY, tokenOf } from "../../../support/data/security_samples.ts";

const FIRST = newSecurityDocument(
  { certificate: "CERTIFICATE", key: "KEY", sealKey: SEAL_KEY },
  { name: "root", passwordHash: HASH },
);
const READ: Grant = { database: "default", prefix: "app:", right: "read" };

function refused(change: () => unknown): ErrorCode {
  return assertThrows(change, KvError).code;
}

Deno.test("SecurityDocument: one user at first, who may do everything; each change is a new version", () => {
  assertEquals(grantsOf(FIRST, "root"), [{ database: "*", prefix: "", right: "admin" }]);
  const withRole = setRole(FIRST, { name: "app", grants: [READ] });
  const withUser = addUser(withRole, { name: "alice", roles: ["app"] });
  assertEquals(grantsOf(withUser, "alice"), [READ]);
  assertEquals(grantsOf(withUser, "bob"), undefined);
  const changed = changeUser(withUser, "alice", { passwordHash: OTHER_HASH, roles: [] });
  assertEquals(grantsOf(changed, "alice"), []);
  const removed = removeRole(removeUser(changed, "alice"), "app");
  assertEquals([FIRST, withRole, withUser, changed, removed].map(({ version }) => version), [
    1,
    2,
    3,
    4,
    6,
  ]);
  assertEquals(FIRST.users.length, 1, "the old document is as it was");
});

Deno.test("SecurityDocument: what is refused, and how", () => {
  const document = addUser(setRole(FIRST, { name: "app", grants: [READ] }), {
    name: "alice",
    roles: ["app"],
  });
  const grant = (more: object) => () =>
    setRole(document, { name: "x", grants: [{ ...READ, ...more } as Grant] });
  const table: [ErrorCode, () => unknown][] = [
    ["exists", () => addUser(document, { name: "alice", roles: [] })],
    ["not_found", () => addUser(document, { name: "bob", roles: ["nothing"] })],
    ["not_found", () => changeUser(document, "bob", { roles: [] })],
    ["not_found", () => removeUser(document, "bob")],
    ["not_found", () => removeRole(document, "nothing")],
    ["bad_request", () => removeRole(document, "app")],
    ["not_found", () => revokeToken(document, "0".repeat(12))],
    ["not_found", () => addToken(document, tokenOf("bob"), 0)],
    ["bad_request", () => addUser(document, { name: "a b", roles: [] })],
    ["bad_request", () => addUser(document, { name: "", roles: [] })],
    ["bad_request", () => addUser(document, { name: "b", roles: [], passwordHash: "plain" })],
    ["bad_request", () => setRole(document, { name: "-", grants: [] })],
    ["bad_request", grant({ database: "an/other" })],
    ["bad_request", grant({ right: "own" })],
    ["bad_request", grant({ right: "admin" })],
    ["bad_request", grant({ prefix: "x".repeat(3_000) })],
    ["bad_request", grant({ prefix: "\ud800" })],
    [
      "bad_request",
      () => setRole(document, { name: "x", grants: Array(GRANTS_PER_ROLE_MAX + 1).fill(READ) }),
    ],
  ];
  for (const [code, change] of table) assertEquals(refused(change), code, String(change));
});

Deno.test("SecurityDocument: somebody with a password always may administer", () => {
  const lastOnes: ((document: SecurityDocument) => unknown)[] = [
    (document) => removeUser(document, "root"),
    (document) => changeUser(document, "root", { roles: [] }),
    (document) => setRole(document, { name: "admin", grants: [] }),
  ];
  for (const change of lastOnes) assertEquals(refused(() => change(FIRST)), "bad_request");
  // A user without a password cannot log in to set it right.
  const second = addUser(FIRST, { name: "second", roles: ["admin"] });
  assertEquals(refused(() => removeUser(second, "root")), "bad_request");
  const able = changeUser(second, "second", { passwordHash: HASH });
  assertEquals(removeUser(able, "root").users.length, 1);
});

Deno.test("SecurityDocument: a user's tokens go with it, ended ones make room, and there is a bound", () => {
  let document = addUser(FIRST, { name: "alice", roles: [] });
  document = addToken(document, tokenOf("alice", { id: "a".repeat(12), untilMs: 100 }), 0);
  document = addToken(document, tokenOf("root", { id: "b".repeat(12), untilMs: 500 }), 50);
  assertEquals(document.tokens.length, 2);
  assertEquals(removeUser(document, "alice").tokens.map(({ id }) => id), ["b".repeat(12)]);
  assertEquals(revokeToken(document, "b".repeat(12)).tokens.map(({ id }) => id), ["a".repeat(12)]);
  const later = addToken(document, tokenOf("root", { id: "c".repeat(12), untilMs: 900 }), 100);
  assertEquals(later.tokens.map(({ id }) => id), ["b".repeat(12), "c".repeat(12)]);
  const full = { ...document, tokens: Array(TOKENS_MAX).fill(tokenOf("root")) };
  assertEquals(refused(() => addToken(full, tokenOf("root"), 0)), "bad_request");
  const users = Array.from({ length: USERS_MAX - 1 }, (_, i) => ({ name: `u${i}`, roles: [] }));
  const crowded = { ...FIRST, users: [...FIRST.users, ...users] };
  assertEquals(refused(() => addUser(crowded, { name: "more", roles: [] })), "bad_request");
});

Deno.test("roomForCertificate: a member with many loses the oldest, never the one by which it asks; and there is a bound", () => {
  const nowMs = 1_000;
  const by = { id: "aaaa", serial: "1" };
  let document: SecurityDocument = FIRST;
  const sign = (serial: string) => {
    const next = { id: by.id, role: "node", serial, madeMs: nowMs, untilMs: 9_000 } as const;
    document = addCertificate(roomForCertificate(document, by, nowMs), next, nowMs);
  };
  const valid = () => validCertificates(document, by.id, nowMs).map(({ serial }) => serial);
  for (let serial = 1; serial <= CERTIFICATES_PER_MEMBER_MAX; serial++) sign(`${serial}`);
  assertEquals(document.revoked, []);
  sign("ff");
  assertEquals(valid(), ["1", "3", "4", "5", "6", "7", "8", "ff"]);
  while (document.certificates.length < CERTIFICATES_OPEN_PER_MEMBER_MAX) {
    sign(`abc${document.certificates.length}`);
  }
  assertEquals([valid().length, valid()[0]], [CERTIFICATES_PER_MEMBER_MAX, "1"]);
  const room = (atMs: number) => roomForCertificate(document, by, atMs);
  assertEquals(refused(() => room(nowMs)), "bad_request");
  assertEquals(room(9_000), document, "what has ended does not count");
});

Deno.test("parseSecurityDocument: what was written is read, anything else is damage", () => {
  const document = addToken(setRole(FIRST, { name: "app", grants: [READ] }), tokenOf("root"), 0);
  assertEquals(parseSecurityDocument(JSON.parse(JSON.stringify(document))), document);
  const { users, roles } = document;
  const bad: unknown[] = [
    undefined,
    null,
    7,
    [],
    {},
    { ...document, version: -1 },
    { ...document, cluster: "a b" },
    { ...document, authorities: undefined },
    { ...document, authorities: [] },
    { ...document, authorities: [7] },
    { ...document, authorityKey: 7 },
    { ...document, joins: [{}] },
    { ...document, certificates: [{ id: "n1", role: "node", serial: "x", madeMs: 0, untilMs: 1 }] },
    { ...document, revoked: [{ serial: "-", untilMs: 1 }] },
    { ...document, users: undefined },
    { ...document, users: [null] },
    { ...document, users: [] },
    { ...document, users: [...users, ...users] },
    { ...document, users: [{ ...users[0], passwordHash: "plain" }] },
    { ...document, roles: [...roles, ...roles] },
    { ...document, roles: [{ name: "admin" }] },
    { ...document, tokens: [{}] },
    { ...document, tokens: [tokenOf("root", { hash: "x" })] },
    { ...document, tokens: [tokenOf("a b")] },
  ];
  for (const value of bad) {
    assertEquals(refused(() => parseSecurityDocument(value)), "corrupt", JSON.stringify(value));
  }
});

Deno.test("SecurityDocument: users, roles and tokens together fit into a message", () => {
  const prefix = "x".repeat(1_000);
  const grants = Array.from({ length: GRANTS_PER_ROLE_MAX }, () => ({ ...READ, prefix }));
  let document = FIRST;
  const code = refused(() => {
    for (let i = 0; i < 60; i++) document = setRole(document, { name: `r${i}`, grants });
  });
  assertEquals(code, "bad_request");
  const size = JSON.stringify(judgedPart(document)).length;
  assertEquals(size <= JUDGED_CHARACTERS_MAX && size > JUDGED_CHARACTERS_MAX / 2, true);
});

Deno.test("judgesAlike: what only the coordinator knows makes no difference to members", () => {
  const certificate = { id: "n1", role: "node", serial: "ab", madeMs: 0, untilMs: 1_000 } as const;
  const issued = addCertificate(FIRST, certificate, 0);
  const joinable = addJoinToken(issued, { ...tokenOf("root"), role: "node" }, 0);
  assertEquals(judgesAlike(FIRST, joinable), true);
  const { document: revoked } = revokeCertificates(joinable, "n1", 0);
  for (
    const other of [
      revoked,
      addUser(FIRST, { name: "alice", roles: [] }),
      setRole(FIRST, { name: "app", grants: [READ] }),
      addToken(FIRST, tokenOf("root"), 0),
      rotateAuthority(FIRST, { certificate: "NEXT", key: "KEY" }, "BRIDGE"),
    ]
  ) assertEquals(judgesAlike(joinable, other), false);
});
