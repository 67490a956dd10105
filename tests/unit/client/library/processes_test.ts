import { assertEquals, assertRejects } from "@std/assert";
import { coordinatorOf, Processes } from "../../../../client/library/processes.ts";
import { Sender } from "../../../../client/library/sender.ts";
import type { Address } from "../../../../shared/platform/transport.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { FakeCluster, fakeMap } from "../../../support/worlds/fake_cluster.ts";

function setUp(answer?: Reply) {
  const asked: object[] = [];
  const coordinator = answer && {
    request: (message: object, _timeoutMs: number, done: (reply: Reply) => void) => {
      asked.push(message);
      done(answer);
    },
    close: () => {},
  };
  const deps = { clock: new ManualClock(), router: new FakeCluster(), coordinator };
  return { asked, processes: new Processes(deps, new Sender(deps, {})) };
}

Deno.test("Processes.stats: one that does not answer is in the list, with its error", async () => {
  const { processes } = setUp({ req_type: "error", code: "unavailable", message: "gone" });
  const [coordinator, ...nodes] = await processes.stats({});
  assertEquals([coordinator?.id, coordinator?.error?.code], ["coordinator", "unavailable"]);
  assertEquals(nodes.every(({ stats }) => stats !== undefined), true);
});

Deno.test("Processes.ping: of several coordinators each is asked, by its address and under its name", async () => {
  const router = new FakeCluster();
  const coordinators = ["c1", "c2"].map((id, i) => ({ id, host: "h", port: i }));
  router.map = () => ({ ...fakeMap(), coordinators });
  router.refresh = () => Promise.resolve(router.map());
  const coordinator = {
    request: () => {},
    requestAt: ({ port }: Address, _: object, _timeoutMs: number, done: (reply: Reply) => void) =>
      done(
        port === 0
          ? { req_type: "ack" }
          : { req_type: "error", code: "unavailable", message: "gone" },
      ),
    close: () => {},
  };
  const deps = { clock: new ManualClock(), router, coordinator };
  const [first, second] = await new Processes(deps, new Sender(deps, {})).ping({});
  assertEquals([first?.id, first?.elapsedMs], ["coordinator c1", 0]);
  assertEquals([second?.id, second?.error?.code], ["coordinator c2", "unavailable"]);
  assertEquals(["coordinator", "coordinator c2", "00000000000000a1"].map(coordinatorOf), [
    "",
    "c2",
    undefined,
  ]);
});

Deno.test("Processes.forget: asks the coordinator, and says what had to be forced", async () => {
  const forced = [{ partition: 3, node: "n2", term: 4, last_seq: 5 }];
  const { processes, asked } = setUp({ req_type: "result", result: { forced, revoked: ["5e"] } });
  assertEquals(await processes.forget("n1", { force: true }), {
    forced: [{ partition: 3, node: "n2", term: 4, lastSeq: 5 }],
    revoked: ["5e"],
  });
  assertEquals(asked, [{ req_type: "forget_node", node: "n1", force: true }]);
});

Deno.test("Processes.forget: without a coordinator says whom to name", async () => {
  const { processes } = setUp();
  const error = await assertRejects(() => processes.forget("n1", {}), KvError, "coordinator's");
  assertEquals(error.code, "unavailable");
});
