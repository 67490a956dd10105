/** docs/http.md names every path and, with its status, every error code. */
import { assert, assertEquals } from "@std/assert";
import page from "../../../docs/http.md" with { type: "text" };
import { STATUS_OF_CODE } from "../../../shared/http/protocol/problem.ts";
import { ROUTES } from "../../../shared/http/endpoints/routes.ts";

/** Of processes among themselves: no request of a client ends so. */
const INTERNAL = ["stale_incarnation", "wrong_cluster", "wrong_version", "folder_in_use"];
const AT_START = ["address_in_use", "bad_config"];

Deno.test("docs/http.md: names every path with its methods", () => {
  const [, table = ""] = page.split("\n## Paths\n");
  const rows = (table.split("\n## ")[0] ?? "").split("\n").map((row) => row.split("|")[1] ?? "");
  for (const [path, methods] of Object.entries(ROUTES)) {
    const shown = path.startsWith("/op/") ? "/op/{operation}" : path;
    for (const method of Object.keys(methods)) {
      const named = rows.some((cell) => cell.includes(method) && cell.includes(shown));
      assert(named, `${method} ${path}`);
    }
  }
});

Deno.test("docs/http.md: names every error code at its status", () => {
  const [, table = ""] = page.split("\n## Errors\n");
  const listed = new Map<string, string[]>();
  for (const [, status = "", text = ""] of table.matchAll(/^\| (\d{3}) +\| (.*)\|$/gm)) {
    for (const [, code = ""] of text.matchAll(/`([a-z_]+)`/g)) {
      listed.set(code, [...listed.get(code) ?? [], status]);
    }
  }
  for (const [code, status] of Object.entries(STATUS_OF_CODE)) {
    if ([...INTERNAL, ...AT_START].includes(code)) continue;
    assert(listed.get(code)?.includes(String(status)), `${code} ${status}`);
  }
  for (const code of listed.keys()) assertEquals(Object.hasOwn(STATUS_OF_CODE, code), true, code);
});
