/**
 * The file of credentials of `kv-client`: JSON with `ca` (the authorities' certificates, PEM) and `user` and
 * `password`, or `token`. It must be its owner's alone, since whoever reads it is its owner to the cluster. One that
 * `login` has made says in `addresses` where its cluster is as well, so that it is shown to no other.
 *
 * @module
 */
import { KvError, messageOf } from "../../shared/base/errors.ts";
import { syncFolder } from "../../shared/platform/deno/file_document_store.ts";
import type { ClientLogin } from "../calls/call.ts";
import type { StoredLogin } from "./command/command.ts";

const TEXTS = ["ca", "user", "password", "token"] as const;

/** What a file holds; `addresses` is empty unless `login` has made it. */
export interface FileLogin extends ClientLogin {
  readonly addresses: readonly string[];
}

/**
 * Where `login` keeps what it was given, by the XDG Base Directory specification.
 *
 * @param environment reads a variable
 * @returns undefined for a user without a home
 */
export function loginFile(environment: (name: string) => string | undefined): string | undefined {
  const [config, home] = [environment("XDG_CONFIG_HOME"), environment("HOME")];
  // "All paths set in these environment variables must be absolute."
  if (config?.startsWith("/")) return `${config}/kv/credentials.json`;
  return home === undefined || home === "" ? undefined : `${home}/.config/kv/credentials.json`;
}

/** @throws {KvError} `bad_config`; its text shows nothing of the file */
export async function readCredentials(path: string): Promise<FileLogin> {
  const login = await readCredentialsIfThere(path);
  if (login !== undefined) return login;
  throw new KvError("bad_config", `${path}: the credentials cannot be read: there is no such file`);
}

/** As {@linkcode readCredentials}; undefined if there is no file. @throws {KvError} `bad_config` */
export async function readCredentialsIfThere(path: string): Promise<FileLogin | undefined> {
  let text: string;
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new KvError(
        "bad_config",
        `${path}: others may read these credentials (mode ${(mode & 0o777).toString(8)}); ` +
          `chmod 600 ${path}`,
      );
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof KvError) throw error;
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new KvError("bad_config", `${path}: the credentials cannot be read: ${messageOf(error)}`);
  }
  return credentialsFrom(text, path);
}

/** Replaces the file, or makes it with the folders that it needs. @throws {KvError} `bad_config` */
export async function writeCredentials(path: string, login: StoredLogin): Promise<void> {
  const folder = path.replace(/[^/]*$/, "") || ".";
  const part = `${path}.part`;
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await Deno.remove(part).catch(ignoreMissing);
    const text = JSON.stringify(login, null, 2) + "\n";
    await Deno.writeTextFile(part, text, { mode: 0o600, createNew: true });
    await Deno.rename(part, path);
    await syncFolder(folder);
  } catch (error) {
    throw new KvError("bad_config", `${path}: the login cannot be kept: ${messageOf(error)}`);
  }
}

/** @returns whether there was one @throws {KvError} `bad_config` */
export async function removeCredentials(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new KvError("bad_config", `${path}: the login cannot be removed: ${messageOf(error)}`);
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function credentialsFrom(text: string, path: string): FileLogin {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KvError("bad_config", `${path}: these credentials are not JSON`);
  }
  if (typeof value !== "object" || value === null) {
    throw new KvError("bad_config", `${path}: credentials are a JSON object`);
  }
  const login: { -readonly [N in typeof TEXTS[number]]?: string } = {};
  let addresses: readonly string[] = [];
  for (const [name, field] of Object.entries(value)) {
    const known = TEXTS.find((one) => one === name);
    if (known !== undefined && typeof field === "string") login[known] = field;
    else if (name === "addresses" && isTexts(field)) addresses = field;
    else {
      throw new KvError("bad_config", `${path}: credentials are texts named ${TEXTS.join(", ")}`);
    }
  }
  return { ...login, addresses };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
