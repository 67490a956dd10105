/**
 * The first message of a connection: who opens it, and what for. Who receives it judges it in
 * `shared/server/handshake.ts`.
 *
 * @module
 */
import { type Message, PROTOCOL_VERSION } from "./messages.ts";

/** A `hello` of this version of the protocol. */
export function hello(
  role: Message<"hello">["role"],
  says: Partial<Omit<Message<"hello">, "req_type" | "protocol" | "role">> = {},
): Message<"hello"> {
  return { req_type: "hello", protocol: PROTOCOL_VERSION, role, ...says };
}
