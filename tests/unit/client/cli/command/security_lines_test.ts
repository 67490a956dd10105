import { assertEquals } from "@std/assert";
import {
  certificateLine,
  newTokenLine,
  roleLine,
  tokenLine,
  userLine,
} from "../../../../../client/cli/command/security_lines.ts";

const until = Date.UTC(2027, 1, 27, 21);

Deno.test("security lines: users, roles, tokens and certificates on a line each", () => {
  assertEquals(
    userLine({ user: "alice", password: true, roles: ["app", "ops"] }),
    "alice  roles app,ops  password",
  );
  assertEquals(userLine({ user: "bob", password: false, roles: [] }), "bob  no roles  tokens only");
  const read = { database: "default", prefix: "app:", right: "read" };
  const admin = { database: "*", prefix: "", right: "admin" };
  assertEquals(roleLine({ name: "app", grants: [read, admin] }), "app  read:app: admin");
  assertEquals(roleLine({ name: "none", grants: [] }), "none  nothing granted");
  const date = "2027-02-27T21:00:00.000Z";
  assertEquals(
    tokenLine({ token: "74a5f6518b5e", user: "alice", until }),
    `74a5f6518b5e  user alice  until ${date}`,
  );
  assertEquals(
    tokenLine({ token: "74a5f6518b5e", join: "node", until }),
    `74a5f6518b5e  joins a node  until ${date}`,
  );
  assertEquals(newTokenLine({ token: "74a5f6518b5e", text: "kv1.x.y" }), "kv1.x.y");
  assertEquals(
    certificateLine({ role: "node", id: "5f0c", serial: "3f", until, revoked: true }),
    `node 5f0c  serial 3f  until ${date}  revoked`,
  );
});

Deno.test("security lines: a prefix that somebody chose cannot move the cursor of a terminal", () => {
  const grant = { database: "default", prefix: "\u001b[2Japp", right: "read" };
  assertEquals(roleLine({ name: "app", grants: [grant] }), 'app  read:"\\u001b[2Japp"');
});
