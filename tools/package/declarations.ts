/**
 * The declarations of modules, as TypeScript's compiler writes them: only those files that somebody who imports the
 * modules gets to see.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** Somebody who imports the package must be told what the declarations rely on. */
const LIBRARIES = '/// <reference lib="esnext.disposable" />\n';

/** Writes the declarations of each entry, and of what it refers to. @returns their paths below the folder */
export async function writeDeclarations(
  entries: readonly string[],
  folder: string,
): Promise<string[]> {
  const root = Deno.cwd();
  const options: ts.CompilerOptions = {
    declaration: true,
    emitDeclarationOnly: true,
    allowImportingTsExtensions: true,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    stripInternal: true,
    outDir: folder,
    rootDir: root,
  };
  const program = ts.createProgram(entries.map((entry) => join(root, entry)), options);
  const texts = new Map<string, string>();
  program.emit(undefined, (path, text) => {
    texts.set(relative(folder, path), text);
  });
  const left = entries.map((entry) => entry.replace(/\.ts$/, ".d.ts"));
  const seen = new Set(left);
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const text = texts.get(path);
    if (text === undefined) throw new Error(`TypeScript wrote no ${path}`);
    let named = text;
    // From the end, so that the earlier positions stay true.
    for (const { fileName, pos } of ts.preProcessFile(text).importedFiles.toReversed()) {
      if (!fileName.startsWith(".")) continue;
      const target = join(dirname(path), fileName.replace(/\.ts$/, ".d.ts"));
      if (!seen.has(target)) left.push(target);
      seen.add(target);
      // Whoever reads declarations looks for a module of JavaScript.
      const end = named.indexOf(fileName, pos) + fileName.length;
      named = named.slice(0, end - "ts".length) + "js" + named.slice(end);
    }
    await Deno.mkdir(join(folder, dirname(path)), { recursive: true });
    const own = entries.some((entry) => path === entry.replace(/\.ts$/, ".d.ts"));
    await Deno.writeTextFile(join(folder, path), (own ? LIBRARIES : "") + named);
  }
  return [...seen].sort();
}
