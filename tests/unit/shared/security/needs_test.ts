import { assertEquals } from "@std/assert";
import { COMMAND_TABLE } from "../../../../node/resp/tables/command_table.ts";
import { ROUTES } from "../../../../shared/http/endpoints/routes.ts";
import { OPERATIONS } from "../../../../shared/operations/table.ts";
import { COMMAND_NEEDS, ENDPOINT_NEEDS, MESSAGE_NEEDS } from "../../../../shared/security/needs.ts";
import { MESSAGES } from "../../../../shared/wire/messages.ts";

const sorted = (names: Iterable<string>) => [...names].toSorted();

Deno.test("MESSAGE_NEEDS: every request of the wire has a row, and no row is left over", () => {
  const requests = Object.entries(MESSAGES).filter(([, { direction }]) => direction === "request");
  assertEquals(sorted(Object.keys(MESSAGE_NEEDS)), sorted(requests.map(([name]) => name)));
});

Deno.test("MESSAGE_NEEDS: an operation is judged by its keys, and a stranger may greet, or join with a token", () => {
  for (const name of Object.keys(OPERATIONS)) {
    assertEquals(MESSAGE_NEEDS[name as keyof typeof OPERATIONS], "keys", name);
  }
  for (const [name, need] of Object.entries(MESSAGE_NEEDS)) {
    if (need === "anybody") {
      assertEquals(["hello", "ping", "get_authorities", "join"].includes(name), true, name);
    }
  }
});

Deno.test("COMMAND_NEEDS: every command of RESP has a row, and no row is left over", () => {
  const names = COMMAND_TABLE.all.flatMap(({ name, subcommands = [] }) => [
    name,
    ...subcommands.map((subcommand) => subcommand.name),
  ]);
  assertEquals(sorted(Object.keys(COMMAND_NEEDS)), sorted(names));
});

Deno.test("COMMAND_NEEDS: what becomes requests is judged by them, what names keys by those", () => {
  for (const spec of COMMAND_TABLE.all.flatMap((one) => [one, ...(one.subcommands ?? [])])) {
    const need = COMMAND_NEEDS[spec.name];
    const what = `${spec.name}: ${JSON.stringify(need)}`;
    const namesKeys = spec.run.kind === "script" ||
      spec.keys[0] !== 0 && spec.name !== "get_nodes_for_key";
    if (spec.run.kind === "plan") assertEquals(need, "requests", what);
    else assertEquals(need !== "requests", true, what);
    assertEquals(
      typeof need === "object" && "named" in need,
      namesKeys && spec.run.kind !== "plan",
      what,
    );
    // Redis has the same commands before a login, but for those that refuse browsers.
    const isBefore = spec.flags.includes("no_auth") || ["host:", "post"].includes(spec.name);
    assertEquals(need === "anybody", isBefore, what);
    if (spec.flags.includes("write")) {
      assertEquals(need === "requests" || typeof need === "object", true, what);
    }
  }
});

Deno.test("ENDPOINT_NEEDS: every endpoint of HTTP has a row, and no row is left over", () => {
  const names = Object.entries(ROUTES).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`)
  );
  assertEquals(sorted(Object.keys(ENDPOINT_NEEDS)), sorted(names));
});
