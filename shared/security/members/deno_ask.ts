/**
 * One request of the JSON wire to a server that is not known yet, before a machine joins or a user logs in:
 * `Deno.connectTls` connects to servers that are known only.
 *
 * @module
 */
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { isErrorCode, KvError, messageOf } from "../../base/errors.ts";
import { JOIN_ANSWER_BYTES_MAX, JOIN_ANSWER_MS_MAX } from "../../limits/security.ts";
import { type Address, formatAddress } from "../../platform/transport.ts";
import type { Message } from "../../wire/messages.ts";

/** TLS did not come about. */
export class NotVerified extends Error {}

/**
 * Asks one thing over a connection of its own.
 *
 * @param what the order that needs it, for the errors' texts
 * @throws {KvError} what is answered; {@linkcode NotVerified}
 */
export function askOverTls(
  what: string,
  { host, port }: Address,
  message: Message<"join" | "get_authorities">,
  options: ConnectionOptions,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const where = formatAddress({ host, port });
    const socket = connectTls({ host, port, ...options });
    let isVerified = false;
    let isConnected = false;
    let text = "";
    const decoder = new TextDecoder();
    const end = (settle: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const fail = (why: string) =>
      end(() =>
        reject(
          isConnected && !isVerified ? new NotVerified(why) : new KvError(
            "unavailable",
            `${what}: no answer from ${where}: ${why}`,
          ),
        )
      );
    const timer = setTimeout(
      () => fail(`none within ${JOIN_ANSWER_MS_MAX} ms`),
      JOIN_ANSWER_MS_MAX,
    );
    socket.on("connect", () => isConnected = true);
    socket.on("secureConnect", () => {
      isVerified = true;
      socket.write(`${JSON.stringify({ ...message, id: 1 })}\n`);
    });
    socket.on("data", (bytes: Uint8Array) => {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > JOIN_ANSWER_BYTES_MAX) return fail("the answer is too long");
      const line = text.indexOf("\n");
      if (line < 0) return;
      end(() => {
        try {
          resolve(resultIn(what, text.slice(0, line)));
        } catch (error) {
          reject(error);
        }
      });
    });
    socket.on("error", (error: Error) => fail(messageOf(error)));
    socket.on("close", () => fail("the connection was closed"));
  });
}

/** @throws {KvError} the error in it, or that it is none of ours */
function resultIn(what: string, line: string): unknown {
  let reply: Record<string, unknown>;
  try {
    reply = JSON.parse(line);
  } catch {
    throw new KvError("unavailable", `${what}: what answers is no server of a cluster`);
  }
  if (reply.req_type === "result") return reply.result;
  const { code, message } = reply;
  throw new KvError(
    typeof code === "string" && isErrorCode(code) ? code : "unavailable",
    typeof message === "string" ? message : `${what}: what answers is no server of a cluster`,
  );
}
