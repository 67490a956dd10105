/** Writes the answer of a script, which comes as RESP2, for a connection that may have chosen RESP3. @module */
import type { RespWriter } from "../protocol/writer.ts";

const decoder = new TextDecoder();

/** @returns where the reply ends */
export function writeReply(out: RespWriter, reply: Uint8Array, at = 0): number {
  const end = reply.indexOf(13, at);
  const line = decoder.decode(reply.subarray(at + 1, end));
  const next = end + 2;
  switch (String.fromCharCode(reply[at] ?? 0)) {
    case ":":
      out.integer(BigInt(line));
      return next;
    case "+":
      out.simple(line);
      return next;
    case "-":
      out.error(line);
      return next;
    case "$": {
      const length = Number(line);
      if (length < 0) {
        out.nil();
        return next;
      }
      out.bulk(reply.subarray(next, next + length));
      return next + length + 2;
    }
    default: {
      const count = Number(line);
      out.array(count);
      let from = next;
      for (let i = 0; i < count; i++) from = writeReply(out, reply, from);
      return from;
    }
  }
}
