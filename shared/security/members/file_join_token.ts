/**
 * The token by which a machine joins, as a person gives it to a program: itself, or a file that holds it.
 *
 * @module
 */
import { KvError, messageOf } from "../../base/errors.ts";
import { parseToken, type Token } from "../user_token.ts";

/** A hint for who gives a token in an argument, which every process of the machine can read; else undefined. */
export function joinHint(join: string, source: string, flag = "--join"): string | undefined {
  if (source !== "flag" || !isToken(join)) return undefined;
  return `the token in ${flag} can be read by everybody on this machine while this process runs: better give a ` +
    `file that holds it, or KV_${flag.slice(2).replaceAll("-", "_").toUpperCase()}`;
}

/** @throws {KvError} `bad_config`, `bad_request`; the text shows nothing of the token */
export async function tokenFrom(join: string, flag = "--join"): Promise<Token> {
  if (isToken(join)) return parseToken(join);
  try {
    // Also as kv-client prints a new one, with what else is known of it.
    const text = await Deno.readTextFile(join);
    const [found = text] = /kv1\.[0-9a-f]{64}\.[A-Za-z0-9_-]{43}/.exec(text) ?? [];
    return parseToken(found);
  } catch (error) {
    if (error instanceof KvError) throw error;
    throw new KvError(
      "bad_config",
      `${flag}: a token begins with kv1.; the file ${JSON.stringify(join)} cannot be read: ${
        messageOf(error)
      }`,
    );
  }
}

function isToken(text: string): boolean {
  return text.trim().startsWith("kv1.");
}
