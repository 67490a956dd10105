import { assertEquals } from "@std/assert";
import { Secret } from "../../../../shared/base/secret.ts";
import { DATAGRAM_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import {
  channelOf,
  DatagramChannel,
  isChannelKey,
  newChannelKey,
} from "../../../../shared/security/datagram_channel.ts";

const KEY = newChannelKey(new SeededRandom(1));
const MESSAGE = '{"req_type":"heartbeat","node":"a"}';
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (opened: Uint8Array | undefined) =>
  opened === undefined ? undefined : new TextDecoder().decode(opened);
const node = (key = KEY) => new DatagramChannel(key, "node");
const coordinator = () => new DatagramChannel(KEY, "coordinator");

Deno.test("DatagramChannel: opens what the other side has sealed, once and in order", () => {
  const sender = node();
  const receiver = coordinator();
  const first = sender.seal(bytes(MESSAGE));
  const second = sender.seal(bytes(MESSAGE));
  const third = sender.seal(bytes(MESSAGE));
  assertEquals(text(receiver.open(first)), MESSAGE);
  assertEquals(receiver.open(first), undefined, "a recording");
  // One may be lost.
  assertEquals(text(receiver.open(third)), MESSAGE);
  assertEquals(receiver.open(second), undefined, "overtaken");
  assertEquals(receiver.open(third), undefined, "a recording");
  assertEquals(text(sender.open(receiver.seal(bytes("answer")))), "answer");
});

Deno.test("DatagramChannel: refuses another key, its own words, and what carries no proof", () => {
  const sealed = node().seal(bytes(MESSAGE));
  const other = node(newChannelKey(new SeededRandom(2))).seal(bytes(MESSAGE));
  assertEquals(coordinator().open(other), undefined);
  assertEquals(node().open(sealed), undefined);
  const { name } = node();
  assertEquals(channelOf(sealed), name);
  const zeros = "0".repeat(64);
  const trailers = ["", "\n", `\n${name}`, `\n${name} 1`, `\n${name} 1 ${zeros}`];
  trailers.push(`\n${name} -1 ${zeros}`, `\n${name} 99999999999999999 ${zeros}`);
  trailers.push(`\n${"0".repeat(16)} 1 ${zeros}`);
  for (const trailer of trailers) {
    assertEquals(coordinator().open(bytes(MESSAGE + trailer)), undefined, trailer);
  }
  assertEquals(coordinator().open(new Uint8Array(DATAGRAM_BYTES_MAX + 1)), undefined);
  // Its counter is not the next one's.
  const again = bytes(text(sealed)?.replace(`${name} 1 `, `${name} 2 `) ?? "");
  assertEquals(coordinator().open(again), undefined);
});

Deno.test("DatagramChannel: refuses it if any bit was changed or the end cut off, and opens the true one afterwards", () => {
  const sealed = node().seal(bytes(MESSAGE));
  const receiver = coordinator();
  for (let at = 0; at < sealed.length; at++) {
    for (const bit of [1, 0x20, 0x80]) {
      const changed = sealed.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      assertEquals(receiver.open(changed), undefined, `${at}`);
    }
  }
  for (let length = 0; length < sealed.length; length++) {
    assertEquals(receiver.open(sealed.subarray(0, length)), undefined);
  }
  assertEquals(text(receiver.open(sealed)), MESSAGE);
});

Deno.test("DatagramChannel: what is sent over the wire tells nothing of the key", () => {
  const channel = node();
  const shown = `${text(channel.seal(bytes(MESSAGE)))}${JSON.stringify(channel)}`;
  assertEquals(shown.includes(KEY.reveal().slice(0, 16)), false);
  assertEquals(isChannelKey(KEY.reveal()), true);
  assertEquals(isChannelKey("0".repeat(63)), false);
  assertEquals([channel.hasKey(KEY), channel.hasKey(new Secret("0".repeat(64)))], [true, false]);
});
