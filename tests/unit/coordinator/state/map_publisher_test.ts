import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError, KvError } from "../../../../shared/base/errors.ts";
import { coordinatorState, START_MS } from "../../../support/worlds/coordinator_state.ts";

Deno.test("MapPublisher: a document is written once at a time, and what comes meanwhile is in the next", () => {
  const { state, out } = coordinatorState({ epoch: 5 });
  const { publisher } = state;
  state.flush(START_MS);
  assertEquals(out.take().document, undefined, "nothing was decided");
  assertEquals(publisher.decide(), 6);
  state.flush(START_MS);
  assertEquals(out.take().document?.map.epoch, 6);
  assertEquals(publisher.decide(), 7);
  state.flush(START_MS);
  assertEquals(out.take().document, undefined, "a write is under way");
  publisher.persisted(6, START_MS);
  assertEquals(out.take().published?.epoch, 6);
  state.flush(START_MS);
  assertEquals(out.take().document?.map.epoch, 7);
});

Deno.test("MapPublisher: a write that failed is tried again later, under another epoch", () => {
  const { state, out } = coordinatorState({ epoch: 5 });
  const { publisher } = state;
  publisher.decide();
  state.flush(START_MS);
  publisher.persistFailed(6, new KvError("storage_failed", "full"), START_MS);
  state.flush(START_MS);
  const ready = out.take();
  assertEquals([ready.published, publisher.published.epoch], [undefined, 5]);
  assertEquals(ready.log.map(({ level }) => level), ["error"]);
  state.flush(START_MS + 999);
  assertEquals(out.take().document, undefined);
  state.flush(START_MS + 1_000);
  assertEquals(out.take().document?.map.epoch, 7);
  assertThrows(() => publisher.persisted(6, START_MS), InvariantError);
});

Deno.test("MapPublisher.subscribe: first the whole map that has the registration, then what changes", () => {
  const { state, out } = coordinatorState({ epoch: 5 });
  const { publisher } = state;
  assertEquals(publisher.subscribe(1, START_MS), 5);
  assertEquals(out.take().messages.map(({ message }) => message.req_type), ["registered"]);
  publisher.decide();
  assertEquals(publisher.subscribe(2, START_MS), 6);
  state.flush(START_MS);
  assertEquals(out.take().messages, [], "its registration is not on disk");
  publisher.persisted(6, START_MS);
  const sent = out.take().messages;
  assertEquals(sent.map(({ sessions, message }) => [sessions, message.req_type]), [
    [[1], "map_delta"],
    [[2], "registered"],
  ]);
  publisher.unsubscribe(1);
  publisher.decide();
  state.flush(START_MS);
  publisher.persisted(7, START_MS);
  assertEquals(out.take().messages.map(({ sessions }) => sessions), [[2]]);
});

Deno.test("MapPublisher.sendAfterwards: waits for what was decided before", () => {
  const { state, out } = coordinatorState();
  const { publisher } = state;
  publisher.sendAfterwards(1, { req_type: "left" });
  assertEquals(out.take().messages.length, 1, "nothing was decided");
  publisher.decide();
  state.flush(START_MS);
  publisher.decide();
  publisher.sendAfterwards(1, { req_type: "left" });
  publisher.persisted(6, START_MS);
  assertEquals(out.take().messages, [], "the next document has what it waits for");
  state.flush(START_MS);
  publisher.persisted(7, START_MS);
  assertEquals(out.take().messages.map(({ message }) => message.req_type), ["left"]);
});

Deno.test("MapPublisher.leapTo: the next epoch is at least this one, and never less than decided", () => {
  const { state, out } = coordinatorState({ epoch: 5 });
  state.publisher.leapTo(100);
  state.flush(START_MS);
  assertEquals(out.take().document?.map.epoch, 100);
  state.publisher.leapTo(50);
  assert(state.publisher.decidedEpoch > 100);
});
