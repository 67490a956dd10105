import { assertEquals } from "@std/assert";
import { DATAGRAM_BYTES_MAX } from "../../../../shared/base/limits.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { DatagramOpener, DatagramSealer } from "../../../../shared/security/datagram_mac.ts";

const KEY = new Secret("k".repeat(43));
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (opened: Uint8Array | undefined) =>
  opened === undefined ? undefined : new TextDecoder().decode(opened);
const MESSAGE = '{"req_type":"heartbeat","node":"a"}';

Deno.test("DatagramOpener: opens what its session's other side has sealed, once and in order", () => {
  const sealer = new DatagramSealer(KEY, "node");
  const opener = new DatagramOpener(KEY, "node");
  const [first, second, third] = [1, 2, 3].map(() => sealer.seal(bytes(MESSAGE)));
  if (first === undefined || second === undefined || third === undefined) throw new Error();
  assertEquals(text(opener.open(first)), MESSAGE);
  assertEquals(opener.open(first), undefined, "a recording");
  // One may be lost.
  assertEquals(text(opener.open(third)), MESSAGE);
  assertEquals(opener.open(second), undefined, "overtaken");
  assertEquals(opener.open(third), undefined);
});

Deno.test("DatagramOpener: refuses another key, another direction, and what carries no proof", () => {
  const sealed = new DatagramSealer(KEY, "node").seal(bytes(MESSAGE));
  const other = new DatagramSealer(new Secret("x".repeat(43)), "node").seal(bytes(MESSAGE));
  const opener = () => new DatagramOpener(KEY, "node");
  assertEquals(opener().open(other), undefined);
  assertEquals(new DatagramOpener(KEY, "coordinator").open(sealed), undefined);
  const zeros = "0".repeat(64);
  const forged = ["", "\n", MESSAGE, `${MESSAGE}\n`, `${MESSAGE}\n1`, `${MESSAGE}\n1 ${zeros}`];
  forged.push(`${MESSAGE}\n-1 ${zeros}`, `${MESSAGE}\n99999999999999999 ${zeros}`, `\n1 ${zeros}`);
  for (const datagram of forged) assertEquals(opener().open(bytes(datagram)), undefined, datagram);
  assertEquals(opener().open(new Uint8Array(DATAGRAM_BYTES_MAX + 1)), undefined);
});

Deno.test("DatagramOpener: refuses it if any bit was changed, and opens the true one afterwards", () => {
  const sealed = new DatagramSealer(KEY, "node").seal(bytes(MESSAGE));
  const opener = new DatagramOpener(KEY, "node");
  for (let at = 0; at < sealed.length; at++) {
    for (const bit of [1, 0x20, 0x80]) {
      const changed = sealed.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      assertEquals(opener.open(changed), undefined, `${at}`);
    }
  }
  for (let length = 0; length < sealed.length; length++) {
    assertEquals(opener.open(sealed.subarray(0, length)), undefined);
  }
  assertEquals(text(opener.open(sealed)), MESSAGE);
});
