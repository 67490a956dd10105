import { assertEquals } from "@std/assert";
import { CoordinatorLink } from "../../../../coordinator/agreement/coordinator_link.ts";
import { COORDINATOR_RECONNECT_MS_MAX } from "../../../../shared/limits/membership.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { Connection } from "../../../../shared/wire/connection.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

const ADDRESS = { host: "b", port: 7 };

Deno.test("CoordinatorLink: that nobody can be reached is in the log from the third failure on, and when it is over", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const logged: string[] = [];
  const log = {
    ...NO_LOG,
    warn: (event: string, fields?: Record<string, unknown>) => {
      logged.push(`${event}: ${fields?.coordinator}, ${fields?.attempts}`);
    },
    info: (event: string) => void logged.push(event),
  };
  const link = new CoordinatorLink(
    { clock, random: new SeededRandom(1), transport: network.transport("a"), log, clusterId: "c" },
    ADDRESS,
    { onMessage: () => {}, onIdle: () => {} },
  );
  clock.advance(10_000);
  assertEquals(
    logged.splice(0),
    [3, 6, 12, 24].map((attempts) =>
      `another coordinator cannot be reached; trying again until it can: b:7, ${attempts}`
    ),
  );
  const listener = await network.transport("b").listen(ADDRESS, (stream) => {
    new Connection(stream, clock, {
      onMessage: ({ id }, from) => from.send({ req_type: "ack", id }),
      onInvalid: (error) => {
        throw error;
      },
      onClose: () => {},
    });
  });
  clock.advance(2 * COORDINATOR_RECONNECT_MS_MAX);
  assertEquals(logged, ["another coordinator is reached again"]);
  link.close();
  listener.close();
});
