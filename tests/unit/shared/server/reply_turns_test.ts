import { assertEquals } from "@std/assert";
import { ReplyTurns } from "../../../../shared/server/reply_turns.ts";

function setUp() {
  const turns = new ReplyTurns();
  const sent: string[] = [];
  return { turns, sent, send: () => turns.takeReady((line) => sent.push(line)) };
}

Deno.test("ReplyTurns: a reply waits for those before it, and takes those behind it along", () => {
  const { turns, sent, send } = setUp();
  const [first, second, third] = [turns.add(), turns.add(), turns.add()];
  second.line = "2";
  send();
  assertEquals(sent, []);
  first.line = "1";
  send();
  assertEquals(sent, ["1", "2"]);
  third.line = "3";
  send();
  turns.add().line = "4";
  send();
  assertEquals(sent, ["1", "2", "3", "4"]);
});

Deno.test("ReplyTurns.clear: says how many replies waited, and gives none of them later", () => {
  const { turns, sent, send } = setUp();
  turns.add();
  turns.add().line = "2";
  assertEquals(turns.clear(), 1);
  send();
  assertEquals(sent, []);
});
