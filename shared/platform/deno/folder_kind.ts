/**
 * Which role a data folder belongs to. If a process is given a wrong folder, such as one with somebody's
 * files, the parent of a whole cluster's folders, or that of another role, it must not put its own files
 * into it.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { folderError } from "./folder_lock.ts";

/** The document that marks a folder as a role's own. */
const DOCUMENTS = {
  node: "node.json",
  coordinator: "register.json",
  workers: "workers.json",
} as const;

/** The roles that keep data in a folder: `workers` is a node of several workers, which has a folder for each in it. */
export type FolderRole = keyof typeof DOCUMENTS;

const NAMES: Readonly<Record<FolderRole, string>> = {
  node: "node",
  coordinator: "coordinator",
  workers: "node with several workers",
};

const ROLES = Object.keys(NAMES) as readonly FolderRole[];

/** Files that an interrupted start, or the system, may leave in a folder without a document. */
const HARMLESS = new Set(["lock", "lost+found", "cs_config.txt", "cs_config.txt.new", "secured"]);
const NAMES_SHOWN = 3;

/**
 * Checks that a folder is missing, empty, or one of this role. If files of the role are there and its
 * document is missing or damaged, that is not judged here.
 *
 * @throws {KvError} `bad_config` if it is none of these, or cannot be read
 */
export async function checkFolderKind(path: string, role: FolderRole): Promise<void> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(path)) names.push(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw folderError(path, error);
  }
  const why = whyForeign(names, role);
  if (why !== undefined) {
    throw new KvError(
      "bad_config",
      `folder ${path} ${why}; for --data, name a new folder, an empty one, or the ${
        role === "workers" ? "machine" : role
      }'s own`,
    );
  }
}

/** Why a folder with these names in it is refused, as a clause; undefined if it is not. */
export function whyForeign(names: readonly string[], role: FolderRole): string | undefined {
  const document = DOCUMENTS[role];
  if (names.includes(document)) return undefined;
  const foreign = names.filter((name) => !mayLie(name, role)).sort();
  if (foreign.length === 0) return undefined;
  const other = ROLES.find((one) => foreign.includes(DOCUMENTS[one]));
  if (other !== undefined) {
    return `belongs to a ${NAMES[other]} (it holds ${DOCUMENTS[other]}), not to a ${NAMES[role]}`;
  }
  const more = foreign.length - NAMES_SHOWN;
  const shown = foreign.slice(0, NAMES_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return `is no ${NAMES[role]}'s: it holds ${shown}, and no ${document}`;
}

/** Besides the system's hidden files: files that are written before the document, or remain without it. */
function mayLie(name: string, role: FolderRole): boolean {
  return name.startsWith(".") || HARMLESS.has(name) || name.startsWith(`${DOCUMENTS[role]}.`) ||
    (role === "node" && (name === "db" || name === "journal")) ||
    (role === "workers" && /^worker-\d+(\.security|\.damaged-\d+)?$/.test(name));
}
