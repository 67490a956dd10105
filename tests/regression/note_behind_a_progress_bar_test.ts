/**
 * What a command says at a terminal stands on a line of its own. Of an import that was interrupted it
 * stood behind the progress bar: "0 rejectedimport: 7,531 written".
 */
import { assertEquals } from "@std/assert";
import { hasProgram, needing } from "../support/needs.ts";

const io = new URL("../../client/cli/deno_io.ts", import.meta.url).href;
const config = new URL("../../deno.json", import.meta.url).pathname;

/** As the commands do: the bar is stopped when the error is on its way out. */
const PROGRAM = `
  import { denoIo } from ${JSON.stringify(io)};
  const io = denoIo(false);
  const bar = io.progress(undefined);
  bar?.update(0, "7 written, 0 rejected");
  io.note("import: 7 written");
  // A record that was on its way when the import was interrupted.
  for (let i = 0; i < 1_000; i++) bar?.update(0, "8 written, 0 rejected");
  bar?.stop();
`;

const SCRIPT = { met: hasProgram("script", "--version"), otherwise: "no script(1) of util-linux" };

const NAME = "a note at a terminal begins on a new line, and no progress bar comes behind it";
Deno.test(needing(NAME, SCRIPT), async () => {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${folder}/program.ts`;
    await Deno.writeTextFile(program, PROGRAM);
    const command = `${Deno.execPath()} run --quiet --no-check --config ${config} -A ${program}`;
    const { stdout } = await new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      stdin: "null",
    }).output();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    assertEquals(lines.at(-1)?.trim(), "import: 7 written", JSON.stringify(lines));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
