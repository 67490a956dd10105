/**
 * The JSON wire without a network: framing, decoding, encoding, checksums.
 *
 * @module
 */
import { decodeMessage, encodeReply } from "../../shared/wire/codec.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { LineFramer } from "../../shared/wire/framing.ts";
import {
  decodeValue,
  encodeValue,
  fromWireEntry,
  toWireEntry,
} from "../../shared/schema/value_codec.ts";
import { type Effort, measure, type Report } from "../figure.ts";
import { textOfBytes } from "../sample_data.ts";

const GROUP = "codec";
const LINES_PER_READ = 16;

/** Measures them. */
export async function measureCodec(effort: Effort, report: Report): Promise<void> {
  const value = textOfBytes(100);
  const get = `{"id":1234,"req_type":"get","key":"key:000000012345"}`;
  const put = `{"id":1234,"req_type":"put","key":"key:000000012345","value":"${value}"}`;
  const run = async (name: string, work: (times: number) => unknown, operations = 1) =>
    report(await measure(GROUP, name, effort, work, operations));

  await run("frame: 16 puts in a read", framing(put), LINES_PER_READ);
  await run("frame and decode: 16 gets in a read", decoding(get), LINES_PER_READ);
  await run("frame and decode: 16 puts of 100 B", decoding(put), LINES_PER_READ);
  await run("encode reply: ack", (times) => {
    let size = 0;
    const reply = { req_type: "ack", message: "success", version: 77 } as const;
    for (let i = 0; i < times; i++) size += encodeReply(reply, i).length;
    return size;
  });
  await run("encode reply: data of 100 B", (times) => {
    let size = 0;
    const reply = { req_type: "data", message: value, version: 77, timestamp: 1.7e12 } as const;
    for (let i = 0; i < times; i++) size += encodeReply(reply, i).length;
    return size;
  });
  await measureValues(run, value);
}

async function measureValues(
  run: (name: string, work: (times: number) => unknown) => Promise<void>,
  value: string,
): Promise<void> {
  const bytes = new TextEncoder().encode(value);
  const binary = Uint8Array.from({ length: 4_096 }, (_, i) => (i * 151) & 0xff);
  const entry: Entry = {
    key: "key:000000012345",
    seq: 123_456,
    term: 7,
    flags: 0,
    timestampMs: 1_700_000_000_000,
    expiresAtMs: 0,
    value: bytes,
  };
  const wire = toWireEntry(entry);
  await run("value to wire and back: text of 100 B", (times) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += decodeValue(encodeValue(bytes))?.length ?? 0;
    return size;
  });
  await run("value to wire and back: binary of 4 KiB", (times) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += decodeValue(encodeValue(binary))?.length ?? 0;
    return size;
  });
  await run("entry to wire", (times) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += toWireEntry(entry).length;
    return size;
  });
  await run("entry from wire", (times) => {
    let size = 0;
    for (let i = 0; i < times; i++) size += fromWireEntry(wire).seq;
    return size;
  });
  await run("crc32c of 136 B", checksum(binary.subarray(0, 136)));
  await run("crc32c of 4 KiB", checksum(binary));
}

function framing(line: string): (times: number) => unknown {
  const bytes = new TextEncoder().encode(`${line}\n`.repeat(LINES_PER_READ));
  const framer = new LineFramer();
  let size = 0;
  const onLine = (text: string) => {
    size += text.length;
  };
  return (times) => {
    for (let i = 0; i < times; i++) framer.push(bytes, onLine);
    return size;
  };
}

function decoding(line: string): (times: number) => unknown {
  const bytes = new TextEncoder().encode(`${line}\n`.repeat(LINES_PER_READ));
  const framer = new LineFramer();
  let decoded = 0;
  const onInvalid = (error: Error) => {
    throw error;
  };
  const onLine = (text: string) => {
    if (decodeMessage(text, onInvalid) !== undefined) decoded++;
  };
  return (times) => {
    for (let i = 0; i < times; i++) framer.push(bytes, onLine);
    return decoded;
  };
}

function checksum(bytes: Uint8Array): (times: number) => unknown {
  return (times) => {
    let crc = 0;
    for (let i = 0; i < times; i++) crc ^= crc32c(bytes);
    return crc;
  };
}
