/**
 * Blocks of code from pages and comments, as one program: each block in a scope of its own, with a client `kv` unless it
 * makes one. What a block prints is what the comments behind `console.log` say, or, after a loop, the lines of comments
 * below it.
 *
 * @module
 */

const ROOT = new URL("../../../", import.meta.url);

/** What a block says that it prints, line by line. */
export function promisedLines(code: string): string[] {
  return code.split("\n").flatMap((line) => {
    const [, behind, below] = /console\.log\(.*\); \/\/ (.*)$|^\/\/ (.*)$/.exec(line) ?? [];
    return behind ?? below ?? [];
  });
}

/** The blocks as one program. @param addresses what takes the place of the addresses in them */
function programOf(codes: readonly string[], addresses: Readonly<Record<string, string>>): string {
  const imports = new Set([
    'import { connect } from "kv-client";',
    'import { fetchKv } from "kv-client/fetch";',
  ]);
  const scopes = codes.map((code) => {
    const lines = code.split("\n").filter((line) => {
      if (!line.startsWith("import ")) return true;
      imports.add(line);
      return false;
    });
    const own = lines.some((line) => line.startsWith("await using kv ="));
    const client = own
      ? ""
      : 'await using kv = await connect({ coordinator: "127.0.0.1:8080" });\n';
    return `{\n${client}${lines.join("\n")}}\n`;
  });
  let text = [...imports, ...scopes].join("\n");
  for (const [given, real] of Object.entries(addresses)) text = text.replaceAll(given, real);
  const module = (path: string) => `from ${JSON.stringify(new URL(path, ROOT).href)}`;
  return text
    .replaceAll('from "kv-client"', module("client/mod.ts"))
    .replaceAll('from "kv-client/fetch"', module("client/fetch.ts"));
}

/** Type-checks and runs the blocks in a folder, which is made. @returns the lines that they print */
export async function runProgram(
  folder: string,
  codes: readonly string[],
  addresses: Readonly<Record<string, string>>,
): Promise<{ out: string[]; errors: string }> {
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/program.ts`, programOf(codes, addresses));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--check", "--config", new URL("deno.json", ROOT).pathname],
      ...["--allow-net", "--allow-read=.", "--allow-write=.", "program.ts"],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { out: text(stdout).trimEnd().split("\n"), errors: text(stderr) };
}
