import { assert, assertEquals, assertThrows } from "@std/assert";
import { AllNodes } from "../../../../node/resp/pubsub/all_nodes.ts";
import { Subscriptions } from "../../../../node/resp/pubsub/subscriptions.ts";
import { CommandError, type Subscriber } from "../../../../node/resp/command/command.ts";
import { RespWriter } from "../../../../node/resp/protocol/writer.ts";
import {
  RESP_CHANNEL_BYTES_MAX,
  RESP_PUSH_BYTES_MAX,
  RESP_SUBSCRIPTIONS_BYTES_MAX,
} from "../../../../shared/limits/resp.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { RespBench } from "../../../support/clients/resp_bench.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Somebody who listens, and what has been pushed to it. */
function listener(mayHear = true): Subscriber & { heard(): string } {
  const out = new RespWriter();
  return {
    mayHear: () => mayHear,
    push: (write) => write(out),
    heard: () => new TextDecoder().decode(out.take()).replaceAll("\r\n", " ").trim(),
  };
}

Deno.test("Subscriptions: each subscription that matches gets a message once", () => {
  const all = new Subscriptions();
  const [a, b, deaf] = [listener(), listener(), listener(false)];
  for (const one of [a, deaf]) all.add(one, "channel", "news");
  all.add(a, "pattern", "n*");
  all.add(a, "pattern", "n*");
  all.add(b, "pattern", "[a-m]*");
  all.add(b, "shard", "news");
  assertEquals(all.deliver("channel", "news", bytes("x")), 2);
  assertEquals(a.heard(), "*3 $7 message $4 news $1 x *4 $8 pmessage $2 n* $4 news $1 x");
  assertEquals([b.heard(), deaf.heard()], ["", ""]);
  assertEquals(all.deliver("shard", "news", bytes("y")), 1);
  assertEquals(b.heard(), "*3 $8 smessage $4 news $1 y");
  assertEquals([all.count(a, "channel"), all.count(b, "channel"), all.count(b, "shard")], [
    2,
    1,
    1,
  ]);
});

Deno.test("Subscriptions: after the end nothing is left of a connection", () => {
  const all = new Subscriptions();
  const a = listener();
  for (const kind of ["channel", "pattern", "shard"] as const) all.add(a, kind, "x");
  all.remove(a, "channel", "never");
  all.forget(a);
  assertEquals([all.has(a), all.channels("channel", undefined), all.patterns], [false, [], []]);
  assertEquals(all.deliver("channel", "x", bytes("m")), 0);
});

Deno.test("Subscriptions: what they take is bounded, and comes back", () => {
  const all = new Subscriptions();
  const a = listener();
  assertThrows(() => all.add(a, "channel", "x".repeat(RESP_CHANNEL_BYTES_MAX + 1)), CommandError);
  const name = (i: number) => `${i}`.padEnd(RESP_CHANNEL_BYTES_MAX, "x");
  let count = 0;
  const fill = () => {
    for (;;) all.add(a, "channel", name(count++));
  };
  assertThrows(fill, CommandError, "too many subscriptions");
  assert(count * RESP_CHANNEL_BYTES_MAX < RESP_SUBSCRIPTIONS_BYTES_MAX);
  assertThrows(() => all.add(a, "channel", "another"), CommandError);
  all.remove(a, "channel", name(0));
  all.add(a, "channel", "another");
});

/** Nodes that ask each other. */
function nodes(count: number): AllNodes[] {
  const all: AllNodes[] = [];
  for (let i = 0; i < count; i++) {
    all.push(
      new AllNodes({
        askOthers(message, _timeoutMs, done) {
          const others = all.filter((_, at) => at !== i);
          done(others.map((other): Reply => ({
            req_type: "result",
            result: other.serve(message as Message<"pubsub">),
          })));
        },
      }),
    );
  }
  return all;
}

Deno.test("AllNodes: a message gets to the subscribers of all nodes, and they are counted", () => {
  const [first, second, third] = nodes(3);
  assert(first !== undefined && second !== undefined && third !== undefined);
  const [a, b] = [listener(), listener()];
  second.local.add(a, "channel", "news");
  third.local.add(b, "channel", "news");
  third.local.add(b, "pattern", "*");
  const binary = Uint8Array.of(0, 255);
  let receivers = -1;
  first.publish("channel", "news", binary, (count) => receivers = count);
  assertEquals(receivers, 3);
  assert(a.heard().startsWith("*3 $7 message $4 news $2 "));
  first.counts("channel", { channels: ["news", "none"] }, ({ subscribers }) => {
    assertEquals(subscribers, [2, 0]);
  });
  first.counts("channel", { pattern: "n*" }, ({ channels, patterns }) => {
    assertEquals([channels, patterns], [["news"], ["*"]]);
  });
});

Deno.test("RESP: a message never gets into an answer, and a subscriber that does not read is cut off", async () => {
  const bench = new RespBench();
  const listening = bench.connect();
  assertEquals(await listening.ask("HELLO 3") === "", false);
  assertEquals(await listening.ask("SUBSCRIBE a"), ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  await listening.ask("MULTI");
  await listening.ask("PUBLISH a self");
  await listening.ask("PING");
  const answer = await listening.askAndWait("EXEC");
  assert(answer.startsWith("*2\r\n:1\r\n+PONG\r\n"), answer);
  assert(answer.endsWith(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nself\r\n"), answer);

  const publisher = bench.connect();
  assertEquals(await publisher.ask("PUBLISH a x"), ":1\r\n");
  listening.queuedBytes = RESP_PUSH_BYTES_MAX;
  assertEquals(await publisher.ask("PUBLISH a y"), ":1\r\n");
  assertEquals(listening.closed, "cut");
  assertEquals(await publisher.ask("PUBLISH a z"), ":0\r\n");
});
