import { assert, assertEquals } from "@std/assert";
import { UNKNOWN_FIELDS_CHARACTERS_MAX } from "../../../../shared/limits/wire.ts";
import { decodeMessage, encodeWithId } from "../../../../shared/wire/codec.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { ON_BEHALF, takeSaidUser, userOf } from "../../../../shared/wire/on_behalf.ts";

function decode(line: string): Message {
  const message = decodeMessage(line, (error) => {
    throw error;
  });
  assert(message !== undefined);
  return message;
}

Deno.test("userOf: a request's user goes with copies of it, and over the wire in the envelope", () => {
  for (const value of ["v", "v".repeat(UNKNOWN_FIELDS_CHARACTERS_MAX)]) {
    const request = { req_type: "put", key: "k", value, [ON_BEHALF]: "alice" } as const;
    const came = decode(encodeWithId({ ...request }, 1));
    assertEquals(userOf(came), undefined, "nobody is believed before it is known who says so");
    assertEquals(takeSaidUser(came), "alice");
    assertEquals(takeSaidUser(came), undefined, "it says so once");
    assertEquals(
      encodeWithId({ ...came, id: undefined }, 1).includes('"as"'),
      false,
      "nor further on",
    );
  }
  assertEquals(encodeWithId({ req_type: "ping" } as Message, 1), '{"id":1,"req_type":"ping"}');
});

Deno.test("takeSaidUser: what stands inside a request says nothing", () => {
  const steps = [{ req_type: "get", key: "k", as: "root" }];
  const came = decode(JSON.stringify({ req_type: "transaction", key: "k", requests: steps }));
  assertEquals(takeSaidUser(came), undefined);
  assert(came.req_type === "transaction");
  assertEquals(JSON.stringify(came.requests), '[{"req_type":"get","key":"k"}]');
});
