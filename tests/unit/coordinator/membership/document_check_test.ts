import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DocumentCheck } from "../../../../coordinator/membership/document_check.ts";
import {
  ACCEPTED_DATABASE_LEAP,
  ACCEPTED_EPOCH_LEAP,
  ACCEPTED_TERM_LEAP,
} from "../../../../shared/limits/membership.ts";
import { randomSecret, SeededRandom } from "../../../../shared/platform/random.ts";
import { MapSeals } from "../../../../shared/security/map_seal.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { coordinatorState, START_MS } from "../../../support/worlds/coordinator_state.ts";

function setUp(acceptEpoch?: number, seals?: MapSeals) {
  const base = coordinatorState({ epoch: 5 });
  const check = new DocumentCheck(base.state, base.out, { acceptEpoch, seals });
  const say = (given: Partial<Message<"register">>) =>
    check.check({
      req_type: "register",
      node: "a",
      instance: "i",
      incarnation: 1,
      host: "h",
      port: 1,
      http_port: 0,
      zone: "z",
      weight: 1,
      held: [],
      ...given,
    }, START_MS);
  return { ...base, check, say };
}

Deno.test("DocumentCheck: what follows from the document may register", () => {
  const { say, check } = setUp();
  for (const given of [{}, { seen_epoch: 5 }, { held: [[0, 1, 99, 0]] }] as const) {
    assertEquals(say(given as Partial<Message<"register">>), undefined);
  }
  assertEquals(check.stale, undefined);
});

Deno.test("DocumentCheck: a later map or term shows an old document, and nobody registers from then on (rule C9)", () => {
  const later: Partial<Message<"register">>[] = [
    { seen_epoch: 6 },
    { seen_epoch: 3, seen_generation: "of a lost document" },
    { held: [[0, 2, 1, 0]] },
  ];
  for (const given of later.filter((_, i) => i !== 1)) {
    const { say, check, out } = setUp();
    assertEquals(say(given)?.code, "stale_document", JSON.stringify(given));
    assertStringIncludes(check.stale ?? "", "--accept-epoch 5");
    assertEquals(say({})?.code, "stale_document");
    assertEquals(out.take().log.length, 1, "said once");
  }
});

Deno.test("DocumentCheck: by an operator's word it goes on, above everything that was given", () => {
  const { say, state, out, check } = setUp(5);
  state.setDatabases({ next: 3, list: [{ name: "a", number: 2 }] });
  assertEquals(say({ seen_epoch: 40, held: [[0, 7, 1, 0]] }), undefined);
  assertEquals(check.stale, undefined);
  const { document } = out.take();
  assertEquals(document?.map.epoch, 40 + ACCEPTED_EPOCH_LEAP);
  const { term, forcedTerm } = state.table.get(0);
  assert(term > 7 + ACCEPTED_TERM_LEAP);
  assertEquals(forcedTerm, term);
  assertEquals(document?.map.databases, {
    next: 3 + ACCEPTED_DATABASE_LEAP,
    list: [{ name: "a", number: 2 }],
  });
});

Deno.test("DocumentCheck: the word is for the document of that epoch alone", () => {
  assertEquals(setUp(4).say({ seen_epoch: 40 })?.code, "stale_document");
});

const SEALS = new MapSeals(randomSecret(new SeededRandom(1)), "c1");

Deno.test("DocumentCheck: in a secured cluster only the seal of a later map shows an old document (rule C9)", () => {
  const later = { epoch: 6, generation: "g1" };
  const lost = { epoch: 6, generation: "of a lost document" };
  const foreign = new MapSeals(randomSecret(new SeededRandom(1)), "another cluster").of(later);
  const unshown: Partial<Message<"register">>[] = [
    { seen_epoch: 6 },
    { seen_epoch: 6, seen_generation: "g1" },
    { seen_epoch: 6, seen_generation: "g1", seen_seal: "" },
    { seen_epoch: 6, seen_generation: "g1", seen_seal: foreign },
    { seen_epoch: 7, seen_generation: "g1", seen_seal: SEALS.of(later) },
    { seen_epoch: 6, seen_generation: "g2", seen_seal: SEALS.of(later) },
    { seen_epoch: 6, seen_generation: "of a lost document" },
    // What has really been seen shows nothing of a term.
    { held: [[0, 2, 1, 0]], seen_epoch: 5, seen_seal: SEALS.of({ epoch: 5 }) },
  ];
  for (const given of unshown) {
    const { say, check } = setUp(undefined, SEALS);
    assertEquals(say(given)?.code, "bad_request", JSON.stringify(given));
    assertEquals(check.stale, undefined, JSON.stringify(given));
    assertEquals(say({ seen_epoch: 5 }), undefined, "others register");
  }
  for (const { epoch, generation } of [later, lost]) {
    const { say, check } = setUp(undefined, SEALS);
    const seen_seal = SEALS.of({ epoch, generation });
    const shown = { seen_epoch: epoch, seen_generation: generation, seen_seal };
    assertEquals(say(shown)?.code, "stale_document", generation);
    assertStringIncludes(check.stale ?? "", "--accept-epoch 5");
  }
});
