import { assertEquals } from "@std/assert";
import { AnyCoordinator } from "../../../../client/library/any_coordinator.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { RequestServer } from "../../../../shared/server/request_server.ts";
import { hello } from "../../../../shared/wire/hello.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

const MAP = {
  coordinators: ["a", "b", "c"].map((id) => ({ id, host: id, port: 1 })),
} as unknown as ClusterMap;

class Scene {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly asked: string[] = [];
  /** What a coordinator answers in place of a pong. */
  readonly answers = new Map<string, Reply>();
  readonly coordinators = new AnyCoordinator(
    {
      clock: this.clock,
      random: new SeededRandom(1),
      transport: this.network.transport("client"),
    },
    { hello: hello("client"), named: [{ host: "a", port: 1 }], map: () => MAP },
  );

  async serve(host: string): Promise<void> {
    await this.network.transport(host).listen({ host, port: 1 }, (stream) => {
      new RequestServer(stream, { clock: this.clock, log: NO_LOG }, {
        onRequest: ({ req_type }, reply) => {
          if (req_type !== "hello") this.asked.push(host);
          reply(this.answers.get(req_type === "hello" ? "" : host) ?? { req_type: "ack" });
        },
      });
    });
  }

  async ask(): Promise<string> {
    let answer: Reply | undefined;
    this.coordinators.request({ req_type: "ping" }, 5_000, (reply) => answer = reply);
    for (let i = 0; i < 100 && answer === undefined; i++) await this.clock.run(100);
    return answer?.req_type === "error" ? answer.code : answer?.req_type ?? "nothing";
  }
}

Deno.test("AnyCoordinator: whoever can be reached is asked, and stays the first to be asked", async () => {
  const scene = new Scene();
  await scene.serve("b");
  await scene.serve("c");
  assertEquals([await scene.ask(), await scene.ask()], ["ack", "ack"]);
  assertEquals(scene.asked, ["b", "b"]);
  scene.coordinators.close();
});

Deno.test("AnyCoordinator: one that is asked by its address answers itself, or nobody does", async () => {
  const scene = new Scene();
  await scene.serve("b");
  await scene.serve("c");
  const replies: string[] = [];
  for (const host of ["a", "b", "c"]) {
    scene.coordinators.requestAt({ host, port: 1 }, { req_type: "ping" }, 5_000, (reply) => {
      replies.push(`${host} ${reply.req_type}`);
    });
  }
  for (let i = 0; i < 100 && replies.length < 3; i++) await scene.clock.run(100);
  assertEquals(replies.sort(), ["a error", "b ack", "c ack"]);
  assertEquals(scene.asked.sort(), ["b", "c"]);
  scene.coordinators.close();
});

Deno.test("AnyCoordinator: what was sent is not sent again elsewhere; nobody there is told once", async () => {
  const scene = new Scene();
  await scene.serve("a");
  await scene.serve("b");
  scene.answers.set("a", { req_type: "error", code: "unavailable", message: "not now" });
  assertEquals([await scene.ask(), scene.asked], ["unavailable", ["a"]]);
  scene.coordinators.close();
  const nobody = new Scene();
  assertEquals(await nobody.ask(), "unavailable");
  nobody.coordinators.close();
});
