/** Long messages as frames: what is packed is what was sent, and nothing else is taken. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import zlib from "node:zlib";
import fc from "fast-check";
import { PACKED_FRAME, packLine, unpackMessage } from "../../../../node/peers/packed_line.ts";
import { putUint32 } from "../../../../node/storage/record.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { FRAME_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { beginFrame, FRAME_HEAD_BYTES } from "../../../../shared/schema/binary_frames.ts";

const HEAD_BYTES = FRAME_HEAD_BYTES + 4;
const LINE = JSON.stringify({
  req_type: "resync_chunk",
  ...{ p: 1, term: 1, stream: 1, seq: 1, full: false },
  entries: Array.from({ length: 200 }, (_, i) => [`user:${i}`, i + 1, 1, 0, 0, 0, "ä value"]),
});

/** A frame that says that its line has so many bytes. */
function frameOf(length: number, packed: Uint8Array): Uint8Array {
  const frame = beginFrame(PACKED_FRAME, 4 + packed.length);
  putUint32(frame, FRAME_HEAD_BYTES, length);
  frame.set(packed, HEAD_BYTES);
  return frame;
}

function zstd(bytes: Uint8Array): Uint8Array {
  const { zstdCompressSync } = zlib as unknown as {
    zstdCompressSync(bytes: Uint8Array): Uint8Array;
  };
  return zstdCompressSync(bytes);
}

function assertRefused(frame: Uint8Array): void {
  assertEquals(assertThrows(() => unpackMessage(frame), KvError).code, "bad_request");
}

Deno.test("packLine: what is unpacked is what was packed, and it is much shorter", () => {
  const frame = packLine(LINE);
  assert(frame !== undefined);
  assertEquals(unpackMessage(frame), JSON.parse(LINE));
  assert(frame.length < LINE.length / 5, `${frame.length} of ${LINE.length} bytes`);
});

Deno.test("packLine: what does not become shorter is not packed", () => {
  assertEquals(packLine('{"req_type":"ping","id":7}'), undefined);
});

Deno.test("unpackMessage: a frame of another length than it says is refused, and takes no more memory", () => {
  const bytes = new TextEncoder().encode(LINE);
  const packed = zstd(bytes);
  assertEquals(unpackMessage(frameOf(bytes.length, packed)), JSON.parse(LINE));
  for (
    const length of [0, 1, bytes.length - 1, bytes.length + 1, FRAME_BYTES_MAX + 1, 2 ** 32 - 1]
  ) {
    assertRefused(frameOf(length, packed));
  }
  // A few kilobytes that would become 200 MB.
  const bomb = zstd(new Uint8Array(200_000_000));
  assert(bomb.length < 20_000);
  const before = Deno.memoryUsage().rss;
  for (const length of [1_000, FRAME_BYTES_MAX]) assertRefused(frameOf(length, bomb));
  assert(Deno.memoryUsage().rss - before < 100_000_000);
});

Deno.test("unpackMessage: what is no message is refused", () => {
  const of = (bytes: Uint8Array) => frameOf(bytes.length, zstd(bytes));
  const texts = ["", "{", "[]", '{"req_type":"no such"}', '{"req_type":"ping","id":{}}', "\n"];
  for (const text of texts) assertRefused(of(new TextEncoder().encode(text)));
  assertRefused(of(new Uint8Array([0xff, 0xfe])));
  assertRefused(beginFrame(PACKED_FRAME, 0));
  assertRefused(beginFrame(PACKED_FRAME, 3));
});

Deno.test("unpackMessage: any bytes are unpacked or refused, and nothing else happens", () => {
  const sound = packLine(LINE);
  assert(sound !== undefined);
  const changed = fc.tuple(fc.nat(sound.length - 1), fc.nat(255)).map(([at, byte]) => {
    const frame = sound.slice();
    frame[Math.max(at, FRAME_HEAD_BYTES)] = byte;
    return frame;
  });
  const cut = fc.nat(sound.length).map((length) => sound.slice(0, length));
  const noise = fc.uint8Array({ maxLength: 60 }).map((body) => frameOf(40, body));
  fc.assert(fc.property(fc.oneof(changed, cut, noise), (frame) => {
    try {
      unpackMessage(frame);
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "bad_request") throw error;
    }
  }));
});
