/** A `cs_config.txt` that could not be read counted as one that was not there, and discovery went on. */
import { assertEquals, assertMatch } from "@std/assert";
import { CLIENT, NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

Deno.test("cs_config.txt that cannot be read: client and node say so, and ask nobody else", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    // A folder cannot be read as a file, not even by root.
    await Deno.mkdir(`${cwd}/cs_config.txt`);
    const args = ["run", "--quiet", "--no-prompt", ...CLIENT.permissions, ROOT + CLIENT.entry];
    const client = await new Deno.Command(Deno.execPath(), {
      args: [...args, "--discovery=off", "get", "k"],
      cwd,
    }).output();
    assertEquals(client.code, 2);
    const said = /cs_config\.txt is there and cannot be read \(.+\); correct its owner/;
    assertMatch(new TextDecoder().decode(client.stderr), said);

    const heard = Promise.withResolvers<void>();
    const node = ServerProcess.start(NODE, ["--port=0", "--http-port=off", "--storage=memory"], {
      cwd,
      detached: false,
      onLog: (line) => said.test(line) ? heard.resolve() : undefined,
    });
    try {
      await Promise.race([
        heard.promise,
        node.status.then(() => Promise.reject(new Error(node.log.join("\n")))),
      ]);
    } finally {
      await node.crash();
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
