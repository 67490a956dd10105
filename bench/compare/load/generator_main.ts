/**
 * The load generator: a process of its own, so that its processor time can be separated from that of all
 * others. It reads orders as lines of JSON from standard input, and answers each with a line. Connections stay
 * open from one order to the next.
 *
 * @module
 */
import { makeClient } from "../clients/make_client.ts";
import type { StoreClient } from "../clients/store_client.ts";
import { keysOf, valuePool } from "./data_set.ts";
import { closedLoop, loadAll, openLoop } from "./loops.ts";
import { OperationRunner } from "./operation_runner.ts";
import type { DataSet, LoadOrder, LoadReply, LoadResult } from "./order.ts";

interface Prepared {
  readonly keys: readonly string[];
  readonly values: readonly string[];
}

class Generator {
  readonly #clients = new Map<string, StoreClient>();
  /** Of the data set that was used last. */
  #prepared: Prepared | undefined;
  #preparedFor = "";

  async carryOut(order: LoadOrder): Promise<LoadResult> {
    const { keys, values } = this.#prepare(order.data);
    const name = JSON.stringify([order.client, order.data.valueBytes]);
    const client = this.#clients.get(name) ?? await makeClient(order.client, values);
    this.#clients.set(name, client);
    const runner = new OperationRunner(client, order, keys, values.length);
    try {
      const { clients, durationMs, perSecond } = order;
      if (durationMs === undefined) return await loadAll(runner, client, clients, keys);
      if (perSecond === undefined) return await closedLoop(runner, clients, durationMs);
      return await openLoop(runner, clients, durationMs, perSecond);
    } catch (error) {
      // Answers to this order must not be taken for those of the next.
      client.close();
      this.#clients.delete(name);
      throw error;
    }
  }

  #prepare(data: DataSet): Prepared {
    const name = JSON.stringify(data);
    if (this.#prepared === undefined || this.#preparedFor !== name) {
      this.#prepared = { keys: keysOf(data), values: valuePool(data) };
      this.#preparedFor = name;
    }
    return this.#prepared;
  }
}

async function main(): Promise<void> {
  const generator = new Generator();
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const reply: LoadReply = await generator.carryOut(JSON.parse(line)).then(
        (result) => ({ result }),
        (error) => ({ error: error instanceof Error ? error.message : String(error) }),
      );
      console.log(JSON.stringify(reply));
    }
  }
  // Its input ends with the process that gives the orders.
  Deno.exit(0);
}

if (import.meta.main) await main();
