/** The library in a project of somebody else, as README.md tells to put it there. */
import { assertEquals } from "@std/assert";
import readme from "../../../README.md" with { type: "text" };

const ROOT = new URL("../../../", import.meta.url).pathname;

const APP = `import { connect, KvError, type KvClient } from "kv-client";

try {
  const kv: KvClient = await connect({ coordinator: "127.0.0.1:1", timeoutMs: 500 });
  await kv.put("a", "b");
} catch (error) {
  if (!(error instanceof KvError)) throw error;
  const { code, message } = error;
  console.log(code, /option coordinator.*option seeds/.test(message), message.includes("--"));
}
`;

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("client/mod.ts works in another project, with the deno.json that README.md gives", async () => {
  const project = await Deno.makeTempDir();
  try {
    const [config] = /\{\n {2}"imports": \{\n(?: {4}.*\n)+ {2}\}.*\n(?: .*\n)*\}/.exec(readme) ??
      [];
    await Deno.writeTextFile(`${project}/deno.json`, config ?? "README.md has no deno.json");
    await Deno.writeTextFile(`${project}/app.ts`, APP);
    for (const folder of ["client", "shared", "std"]) {
      await copyFolder(`${ROOT}${folder}`, `${project}/kv/${folder}`);
    }
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--check", "--no-remote", "--allow-net", "app.ts"],
      cwd: project,
    }).output();
    const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals({ out, errors }, { out: "unavailable true false\n", errors: "" });
  } finally {
    await Deno.remove(project, { recursive: true });
  }
});
