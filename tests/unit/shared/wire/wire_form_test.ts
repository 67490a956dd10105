import { assertEquals, assertStrictEquals } from "@std/assert";
import { decodeMessage, encodeReply, encodeWithId } from "../../../../shared/wire/codec.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { previousOfReply, valueOfReply } from "../../../../shared/schema/value_codec.ts";
import { wireForm } from "../../../../shared/wire/wire_form.ts";

const TEXT = new TextEncoder().encode("grün");
const BINARY = new Uint8Array([0xff, 0, 0xfe]);

Deno.test("wireForm: a message without bytes is given back as it is", () => {
  for (
    const message of [
      { req_type: "ack", message: "success", version: 3 },
      { req_type: "put", key: "k", value: "v" },
      { req_type: "data", message: "v", version: 1 },
    ]
  ) assertStrictEquals(wireForm(message), message);
});

Deno.test("wireForm: a value becomes text or base64, under the name that the message has for it", () => {
  assertEquals(
    JSON.stringify(wireForm({ req_type: "data", bytes: TEXT, version: 4, timestamp: 5 })),
    '{"req_type":"data","message":"grün","version":4,"timestamp":5}',
  );
  assertEquals(
    JSON.stringify(wireForm({ req_type: "data", bytes: BINARY, version: 4 })),
    '{"req_type":"data","message":"","value64":"/wD+","version":4}',
  );
  assertEquals(wireForm({ req_type: "put", key: "k", bytes: TEXT }), {
    req_type: "put",
    key: "k",
    value: "grün",
  } as never);
  assertEquals(wireForm({ req_type: "put", key: "k", bytes: BINARY }), {
    req_type: "put",
    key: "k",
    value64: "/wD+",
  } as never);
  assertEquals(wireForm({ req_type: "ack", version: 2, previous_bytes: BINARY }), {
    req_type: "ack",
    version: 2,
    previous64: "/wD+",
  } as never);
});

Deno.test("wireForm: groups of requests and of replies, each member by itself", () => {
  assertEquals(
    wireForm({
      req_type: "result",
      result: [{ req_type: "data", bytes: TEXT }, 7, null, { req_type: "ack", version: 1 }],
    }),
    {
      req_type: "result",
      result: [{ req_type: "data", message: "grün" }, 7, null, { req_type: "ack", version: 1 }],
    } as never,
  );
  assertEquals(wireForm({ requests: [{ req_type: "put", key: "k", bytes: TEXT }] }), {
    requests: [{ req_type: "put", key: "k", value: "grün" }],
  } as never);
});

Deno.test("bytes leave as the wire has them, and nobody can send them from outside", () => {
  const put: KeyRequest = { req_type: "put", key: "k", bytes: TEXT };
  assertEquals(encodeWithId(put, 3), '{"id":3,"req_type":"put","key":"k","value":"grün"}');
  const data: Reply = { req_type: "data", bytes: TEXT, version: 1 };
  assertEquals(encodeReply(data, undefined), '{"req_type":"data","message":"grün","version":1}');
  let refused = "";
  const line = '{"req_type":"put","key":"k","bytes":{"0":1}}';
  assertEquals(decodeMessage(line, ({ message }) => refused = message), undefined);
  assertEquals(refused, 'put: "bytes" must be absent: it is not for the wire');
});

Deno.test("valueOfReply and previousOfReply: the same value in each form", () => {
  for (const value of [TEXT, BINARY, new Uint8Array(0)]) {
    const data = { req_type: "data", bytes: value } as const;
    assertEquals(valueOfReply(data), value);
    assertEquals(valueOfReply(wireForm(data)), value);
    const ack = { req_type: "ack", previous_bytes: value } as const;
    assertEquals(previousOfReply(ack), value);
    assertEquals(previousOfReply(wireForm(ack)), value);
  }
  const detail = { previous64: "/wD+" };
  assertEquals(previousOfReply({ req_type: "error", code: "x", message: "", detail }), BINARY);
  assertEquals(previousOfReply({ req_type: "ack" }), undefined);
  assertEquals(previousOfReply({ req_type: "error", code: "x", message: "" }), undefined);
});
