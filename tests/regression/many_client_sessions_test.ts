/**
 * Each of many short-lived clients left an entry behind in the partitions that it had written to, on each
 * replica, for a quarter of an hour: their number had no bound. A partition remembers a bounded number of them, and says of a
 * request that it may have forgotten that nobody can tell. Found by an attack.
 */
import { assert, assertEquals } from "@std/assert";
import { connect } from "../../client/mod.ts";
import { PARTITION_SHARE_MIN } from "../../shared/limits/storage.ts";
import { NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";
import { LineClient } from "../support/clients/line_client.ts";

const SESSIONS = 2_000;
const CLIENTS = 20;
/** Of this many partitions each has the least share. */
const PARTITIONS = 4_096;

Deno.test("a partition remembers a bounded number of clients, and others lose nothing by it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-sessions-test-" });
  const flags = [`--partitions=${PARTITIONS}`, "--fsync=interval", `--data=${folder}/data`];
  const node = ServerProcess.start(NODE, ["--port=0", "--standalone", ...flags], { cwd: folder });
  try {
    const { host, port } = await node.ready;
    using line = await LineClient.connect({ host, port });
    const stats = async () => (await line.ask({ req_type: "stats" })).result as Stats;
    const increment = { req_type: "increment", key: "n", request_number: 1 };
    let since = 0;
    for (let i = 0; i < SESSIONS; i++) {
      const reply = await line.ask({ ...increment, session: `short-${i}`, since });
      assertEquals([reply.req_type, reply.result], ["result", String(i + 1)]);
      since = reply.version as number;
    }
    const after = await stats();
    assertEquals(after.client_sessions, PARTITION_SHARE_MIN);
    assertEquals(after.client_sessions_evicted, SESSIONS - PARTITION_SHARE_MIN);
    assertEquals(after.entries, 1 + PARTITION_SHARE_MIN);

    // Its client may have got no answer, or it may be late: nobody can tell any more.
    const old = { ...increment, session: "short-7", since: 1 };
    assertEquals((await line.ask({ ...old, again: true })).code, "outcome_unknown");
    assertEquals((await line.ask(old)).code, "session_evicted");
    const newest = { ...increment, session: `short-${SESSIONS - 1}`, again: true };
    assertEquals((await line.ask(newest)).result, String(SESSIONS));

    // The library's clients, each of which begins with nothing, notice none of it.
    for (let i = 1; i <= CLIENTS; i++) {
      await using kv = await connect({ coordinator: `${host}:${port}` });
      assertEquals(await kv.increment("n"), BigInt(SESSIONS + i));
    }
    const { client_sessions, client_sessions_refused } = await stats();
    assertEquals(client_sessions, PARTITION_SHARE_MIN);
    assert(client_sessions_refused >= CLIENTS);
  } finally {
    await node.crash();
    await Deno.remove(folder, { recursive: true });
  }
});

interface Stats {
  readonly entries: number;
  readonly client_sessions: number;
  readonly client_sessions_evicted: number;
  readonly client_sessions_refused: number;
}
