/**
 * The file of credentials of `kv-client`: JSON with `ca` (the authority's certificate, PEM) and `user` and
 * `password`, or `token`. It must be its owner's alone, since whoever reads it is its owner to the cluster.
 *
 * @module
 */
import { KvError, messageOf } from "../../shared/base/errors.ts";
import type { ClientLogin } from "../calls/call.ts";

const FIELDS = ["ca", "user", "password", "token"] as const;

/** @throws {KvError} `bad_config`; its text shows nothing of the file */
export async function readCredentials(path: string): Promise<ClientLogin> {
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
    throw new KvError("bad_config", `${path}: the credentials cannot be read: ${messageOf(error)}`);
  }
  return credentialsFrom(text, path);
}

function credentialsFrom(text: string, path: string): ClientLogin {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KvError("bad_config", `${path}: these credentials are not JSON`);
  }
  if (typeof value !== "object" || value === null) {
    throw new KvError("bad_config", `${path}: credentials are a JSON object`);
  }
  const login: { -readonly [N in typeof FIELDS[number]]?: string } = {};
  for (const [name, field] of Object.entries(value)) {
    const known = FIELDS.find((one) => one === name);
    if (known === undefined || typeof field !== "string") {
      throw new KvError("bad_config", `${path}: credentials are texts named ${FIELDS.join(", ")}`);
    }
    login[known] = field;
  }
  return login;
}
