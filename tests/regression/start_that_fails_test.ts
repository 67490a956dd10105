/** A coordinator whose port was taken made its data folder before it said so. */
import { assertEquals, assertMatch } from "@std/assert";
import { COORDINATOR, NODE, type ProgramSpec } from "../../tools/programs.ts";
import { howEnded, ServerProcess } from "../../tools/server_process.ts";

async function namesAfter(program: ProgramSpec, cwd: string, args: string[]): Promise<string[]> {
  const server = ServerProcess.start(program, args, { cwd, detached: false });
  const status = await server.status;
  assertEquals(howEnded(status), "ended with exit code 1", server.log.join("\n"));
  assertMatch(server.lastWords(), /another process (has this port|listens on)/);
  return [...Deno.readDirSync(cwd)].map(({ name }) => name);
}

Deno.test("a start that fails since a port is taken leaves nothing behind", async () => {
  const cwd = await Deno.makeTempDir();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  try {
    const coordinator = ["--discovery=off", "--data=a/b/c"];
    const table: [ProgramSpec, string[]][] = [
      [COORDINATOR, [...coordinator, `--port=${port}`, "--http-port=off", "--heartbeat-port=0"]],
      [COORDINATOR, [...coordinator, "--port=0", `--http-port=${port}`, "--heartbeat-port=0"]],
      [NODE, ["--standalone", "--data=a/b/c", `--port=${port}`, "--http-port=off"]],
      [NODE, ["--standalone", "--data=a/b/c", "--port=0", `--http-port=${port}`]],
    ];
    for (const [program, args] of table) {
      assertEquals(await namesAfter(program, cwd, args), [], `${program.name} ${args.join(" ")}`);
    }
    // What was there before stays, and so does the folder itself.
    await Deno.mkdir(`${cwd}/a/b`, { recursive: true });
    const [first] = table;
    if (first === undefined) throw new Error("no program");
    assertEquals(await namesAfter(first[0], cwd, first[1]), ["a"]);
    assertEquals([...Deno.readDirSync(`${cwd}/a`)].map(({ name }) => name), ["b"]);
    assertEquals([...Deno.readDirSync(`${cwd}/a/b`)], []);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
