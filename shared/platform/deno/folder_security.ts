/**
 * Whether a data folder belongs to a secured process. Its keys and users are in a folder beside it, `FOLDER.security`;
 * a file in the folder itself, `secured`, says that they belong together, so that data that comes back from a backup, or
 * is mounted alone, is not served to everybody.
 *
 * Invariant: a folder that was served secured once is never served without security.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { folderError } from "./folder_lock.ts";

/** The file in the data folder. */
export const SECURED_MARK = "secured";

/** The folder of keys and users. A path with or without a slash at its end is one folder. */
export function securityFolderOf(data: string): string {
  return `${data.replace(/(?<=[^/\\])[/\\]+$/, "")}.security`;
}

/** Whether a data folder has a folder of keys and users beside it. */
export function hasSecurity(data: string): Promise<boolean> {
  return exists(securityFolderOf(data));
}

/** Notes that a folder belongs to a secured process. The folder is made if it does not exist. */
export async function markSecured(data: string): Promise<void> {
  try {
    await Deno.mkdir(data, { recursive: true, mode: 0o700 });
    const text = `Users, keys and certificates are in ${securityFolderOf(data)}\n`;
    await Deno.writeTextFile(`${data}/${SECURED_MARK}`, text, { mode: 0o600 });
  } catch (error) {
    throw folderError(data, error);
  }
}

/**
 * To be called before a process serves a folder without security.
 *
 * @param howToSecure as it follows "start it"
 * @throws {KvError} `bad_config` if the folder belongs to a secured process
 */
export async function refuseUnsecured(data: string, howToSecure: string): Promise<void> {
  const security = securityFolderOf(data);
  const isThere = await exists(security);
  if (!isThere && !await exists(`${data}/${SECURED_MARK}`)) return;
  const why = isThere
    ? `${security} holds its users and keys`
    : `${data}/${SECURED_MARK} says so, but ${security} with its users and keys is gone: put it back`;
  throw new KvError(
    "bad_config",
    `folder ${data} belongs to a secured process (${why}), and is not served without security; ` +
      `start it ${howToSecure}`,
  );
}

/**
 * To be called before new users and keys are made for a folder.
 *
 * @throws {KvError} `bad_config` if the folder had users and keys before, which are gone
 */
export async function refuseNewSecurity(data: string): Promise<void> {
  const mark = `${data}/${SECURED_MARK}`;
  if (!await exists(mark)) return;
  throw new KvError(
    "bad_config",
    `folder ${data} had users and keys in ${
      securityFolderOf(data)
    }, which are gone; put them back, or ` +
      `remove ${mark} to begin with new ones, which no client and no other process knows yet`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw folderError(path, error);
  }
}
