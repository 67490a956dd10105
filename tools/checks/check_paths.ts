/**
 * Checks that every file and folder of this project that a page or a comment names exists, and every
 * heading that a page links to, so that a move or a new name does not leave readers behind.
 *
 * A name is what ends in `.ts` or `.md`, or what stands in backquotes and ends in a slash, as in `shared/wire/`.
 * It counts from the root, from the folder of the file that names it, or as the last part of a path.
 *
 * @module
 */
import { dirname, join, normalize } from "node:path/posix";
import type { Breach } from "./check_imports.ts";

/** Folders that are no part of the project, or that its programs make. */
const PASSED_OVER: readonly RegExp[] = [
  /^(\.git|\.kv.*|dist|coverage|node_modules)$/,
  /^bench\/results$/,
];

/** Names that are no file of the project: what its programs make, and what examples call their own. */
const FOREIGN: readonly RegExp[] = [
  /^(dist|bench\/results|session|db\/lost)\/$/,
  /^(\.\/)?kv\//,
  /^(try|_private)\.ts$/,
];

/** What exists: paths of files and of folders (these with a slash at the end), and the headings of the pages. */
export interface Tree {
  readonly paths: ReadonlySet<string>;
  /** By path of the page, as in a link. */
  readonly anchors: ReadonlyMap<string, ReadonlySet<string>>;
}

/** A tree of these files, by path, with their texts. */
export function treeOf(files: ReadonlyMap<string, string>): Tree {
  const paths = new Set<string>();
  const anchors = new Map<string, ReadonlySet<string>>();
  for (const [file, text] of files) {
    paths.add(file);
    for (let folder = dirname(file); folder !== "."; folder = dirname(folder)) {
      paths.add(`${folder}/`);
    }
    if (file.endsWith(".md")) anchors.set(file, new Set(headingsOf(text)));
  }
  return { paths, anchors };
}

/** The anchors of a page's headings, as GitHub and GitLab make them. */
function headingsOf(page: string): string[] {
  const titles = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => title);
  return titles.map((title) =>
    title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")
  );
}

/** The comments of a source text. */
function commentsOf(source: string): string {
  return (source.match(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$/gm) ?? []).join("\n");
}

/** The names of files and folders in a text. */
export function namesIn(text: string): string[] {
  const files =
    text.match(/(?<![\w@/.:*<>$-])(?:\.{0,2}\/)?[\w.-]+(?:\/[\w.-]+)*\.(?:ts|md)\b(?![\w(])/g) ??
      [];
  const folders = [...text.matchAll(/`((?:[\w.-]+\/)+)`/g)].map(([, folder = ""]) => folder);
  return [...files, ...folders];
}

/** Files whose comments are examples. */
const EXAMPLES = /^tests\/unit\/tools\/checks\/check_\w+_test\.ts$/;

/** The names in a file, or links of it, that lead nowhere. */
export function brokenNames(file: string, text: string, tree: Tree): string[] {
  if (EXAMPLES.test(file)) return [];
  const isPage = file.endsWith(".md");
  const broken: string[] = [];
  for (const name of namesIn(isPage ? text : commentsOf(text))) {
    if (FOREIGN.some((pattern) => pattern.test(name))) continue;
    if (!isThere(name, file, tree)) broken.push(`names ${name}, which does not exist`);
  }
  if (isPage) {
    for (const [, target = "", anchor] of text.matchAll(/\]\(([^)#:\s]*)(?:#([^)\s]*))?\)/g)) {
      const page = target === "" ? file : normalize(join(dirname(file), target));
      if (!tree.paths.has(page) && !tree.paths.has(`${page}/`)) {
        broken.push(`links to ${target}, which does not exist`);
      } else if (anchor !== undefined && tree.anchors.get(page)?.has(anchor) === false) {
        broken.push(`links to ${page}#${anchor}, which has no such heading`);
      }
    }
  }
  return broken;
}

function isThere(name: string, from: string, { paths }: Tree): boolean {
  if (paths.has(normalize(name)) || paths.has(normalize(join(dirname(from), name)))) return true;
  for (const path of paths) if (path.endsWith(`/${name}`)) return true;
  return false;
}

async function filesOf(folder: string, files: Map<string, string>): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = folder === "." ? name : `${folder}/${name}`;
    if (PASSED_OVER.some((pattern) => pattern.test(path))) continue;
    if (isDirectory) await filesOf(path, files);
    else files.set(path, /\.(ts|md)$/.test(name) ? await Deno.readTextFile(path) : "");
  }
}

async function main(): Promise<number> {
  const files = new Map<string, string>();
  await filesOf(".", files);
  const tree = treeOf(files);
  const breaches: Breach[] = [...files].flatMap(([file, text]) =>
    brokenNames(file, text, tree).map((what) => ({ file, what }))
  );
  for (const { file, what } of breaches) console.error(`${file} ${what}`);
  console.log(`${files.size} files, ${breaches.length} breaches`);
  return breaches.length === 0 && files.size > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
