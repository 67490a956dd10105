import { assertEquals } from "@std/assert";
import { loginFile } from "../../../../client/cli/file_credentials.ts";

Deno.test("loginFile: where the XDG specification says", () => {
  const cases: [Record<string, string>, string | undefined][] = [
    [{ HOME: "/home/a" }, "/home/a/.config/kv/credentials.json"],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "" }, "/home/a/.config/kv/credentials.json"],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "not/absolute" }, "/home/a/.config/kv/credentials.json"],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "/etc/a" }, "/etc/a/kv/credentials.json"],
    [{ XDG_CONFIG_HOME: "/etc/a" }, "/etc/a/kv/credentials.json"],
    [{}, undefined],
    [{ HOME: "" }, undefined],
  ];
  for (const [variables, wanted] of cases) {
    assertEquals(loginFile((name) => variables[name]), wanted, JSON.stringify(variables));
  }
});
