/**
 * Bundles the console's page (`console/`) into `shared/console/console_bundle.ts`, as texts that the programs contain. The
 * bundle is committed, because the bundler is fetched from npm at its first use, and the programs must build without that
 * (docs/decisions/0034-console.md).
 *
 *     deno task console            writes it
 *     deno task console --check    ends with 1 if it is not that of the sources
 *
 * @module
 */
import { createHash } from "node:crypto";
import { runBundleTask } from "./bundle_task.ts";

const BUNDLE = "shared/console/console_bundle.ts";
const FOLDER = "console";
/** The only part of the programs that runs in the page. */
const KEY_TEXT = "shared/base/key_text.ts";

/** A hash of all that the page is made from: its sources, and the versions of the packages. */
export async function hashOfSources(): Promise<string> {
  const hash = createHash("sha256");
  const names: string[] = [];
  for await (const { name } of Deno.readDir(FOLDER)) if (name !== "README.md") names.push(name);
  for (const path of [...names.sort().map((name) => `${FOLDER}/${name}`), KEY_TEXT]) {
    hash.update(`${path}\n${await Deno.readTextFile(path)}\n`);
  }
  const { imports } = JSON.parse(await Deno.readTextFile("deno.json"));
  hash.update(`${imports.preact} ${imports.uplot}`);
  return hash.digest("hex");
}

/** The hash that the committed bundle was made with. */
export async function hashOfBundle(): Promise<string | undefined> {
  const text = await Deno.readTextFile(BUNDLE).catch(() => "");
  return /^export const CONSOLE_SOURCES =\s*"([0-9a-f]{64})"/m.exec(text)?.[1];
}

/** The text of the bundle. @throws {Error} if the bundler fails, or cannot be fetched */
export async function bundleText(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "browser", "--minify", `${FOLDER}/main.tsx`],
    env: { NO_COLOR: "1" },
  }).output();
  const [script, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success || script === undefined) throw new Error(`the page cannot be bundled: ${errors}`);
  const texts = {
    CONSOLE_SOURCES: await hashOfSources(),
    CONSOLE_HTML: await Deno.readTextFile(`${FOLDER}/index.html`),
    CONSOLE_STYLE: await Deno.readTextFile(`${FOLDER}/style.css`),
    CONSOLE_SCRIPT: script,
  };
  const lines = Object.entries(texts).map(([name, text]) =>
    `export const ${name} = ${JSON.stringify(text)};\n`
  );
  return `// Made by \`deno task console\` from console/; do not change it by hand.\n${
    lines.join("")
  }`;
}

if (import.meta.main) {
  const task = { name: "console", path: BUNDLE, make: bundleText };
  Deno.exit(await runBundleTask(task, Deno.args));
}
