/**
 * Further coordinators beside that of a `TestCluster`: real processes, ended with the test.
 *
 * @module
 */
import type { Address } from "../../../shared/platform/transport.ts";
import { connect, type KvClient } from "../../../client/mod.ts";
import type { CoordinatorsReport } from "../../../client/calls/call.ts";
import { askJson, type JsonReply } from "../../../tools/json_probe.ts";
import { COORDINATOR } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "./cluster.ts";
import type { CoordinatorLinks } from "./coordinator_links.ts";

interface Standby {
  readonly id: string;
  readonly folder: string;
  address: Address;
  process: ServerProcess;
}

/** The coordinators of a cluster; number 0 is that of the `TestCluster`. */
export class TestCoordinators implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly #standbys: Standby[] = [];

  readonly #links: CoordinatorLinks | undefined;

  /** @param links the ways to them; the cluster's own coordinator is behind them by its flags */
  constructor(cluster: TestCluster, links?: CoordinatorLinks) {
    this.cluster = cluster;
    this.#links = links;
    cluster.further = () => this.#standbys.map(({ id, process }) => [id, process]);
  }

  /** Starts some more, and has them added. */
  static async add(
    cluster: TestCluster,
    count: number,
    links?: CoordinatorLinks,
  ): Promise<TestCoordinators> {
    const all = new TestCoordinators(cluster, links);
    const { coordinatorAddress: first, coordinatorFacts: { heartbeat = 0 } } = cluster;
    links?.serve(0, all.idOf(0), first, heartbeat);
    try {
      for (let i = 0; i < count; i++) await all.startAnother();
      await all.change({ add: all.#standbys.map(({ id }) => id) });
      return all;
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
  }

  get count(): number {
    return 1 + this.#standbys.length;
  }

  idOf(index: number): string {
    return index === 0 ? "c1" : this.#standby(index).id;
  }

  indexOf(id: string): number {
    return id === "c1" ? 0 : 1 + this.#standbys.findIndex((one) => one.id === id);
  }

  addressOf(index: number): Address {
    return index === 0 ? this.cluster.coordinatorAddress : this.#standby(index).address;
  }

  processOf(index: number): ServerProcess {
    return index === 0 ? this.cluster.coordinatorProcess : this.#standby(index).process;
  }

  folderOf(index: number): string {
    return index === 0 ? `${this.cluster.folder}/coordinator` : this.#standby(index).folder;
  }

  /** All addresses, as `--coordinator` takes them. */
  get addresses(): string {
    return Array.from({ length: this.count }, (_, i) => this.addressOf(i))
      .map(({ host, port }) => `${host}:${port}`).join(",");
  }

  /** Starts one more, which waits to be added. @returns its number */
  async startAnother(): Promise<number> {
    const number = this.count + 1;
    const folder = `${this.cluster.folder}/coordinator-${number}`;
    const standby: Standby = {
      id: `c${number}`,
      folder,
      address: { host: "127.0.0.1", port: 0 },
      process: await this.#start(`c${number}`, folder, 0),
    };
    this.#standbys.push(standby);
    const { host, port, facts } = await standby.process.ready;
    standby.address = { host, port };
    this.#links?.serve(this.count - 1, standby.id, standby.address, facts.heartbeat ?? 0);
    return this.count - 1;
  }

  /** Starts one again that has ended: same folder, same port. */
  async restart(index: number): Promise<void> {
    if (index === 0) return await this.cluster.restartCoordinator();
    const standby = this.#standby(index);
    const { id, folder, address } = standby;
    standby.process = await this.#start(id, folder, address.port);
    await standby.process.ready;
  }

  /** Gives an order to change them, as often as it takes until those that are to be added have said that they are there. */
  change(change: { add?: string[]; remove?: string[] }): Promise<CoordinatorsReport> {
    return this.cluster.poll(`coordinators: ${JSON.stringify(change)}`, async () => {
      const reply = await this.ask({ req_type: "coordinators_change", ...change });
      return reply?.req_type === "result" ? reply.result as CoordinatorsReport : undefined;
    });
  }

  /** The answer of the first coordinator that has one. */
  async ask(request: JsonReply, among?: readonly number[]): Promise<JsonReply | undefined> {
    for (const index of among ?? Array.from({ length: this.count }, (_, i) => i)) {
      if (this.processOf(index).ended) continue;
      try {
        const reply = await this.askOne(index, request);
        if (reply.req_type !== "error") return reply;
      } catch {
        // It does not answer: the next one is asked.
      }
    }
    return undefined;
  }

  askOne(index: number, request: JsonReply, timeoutMs = 10_000): Promise<JsonReply> {
    return askJson(this.addressOf(index), request, timeoutMs, this.cluster.probeLogin);
  }

  /** Waits until one of them is active and has its right. @returns its number */
  active(among?: readonly number[]): Promise<number> {
    return this.cluster.poll("an active coordinator", async () => {
      const reply = await this.ask({ req_type: "coordinators" }, among);
      const report = reply?.result as CoordinatorsReport | undefined;
      const index = report === undefined ? -1 : this.indexOf(report.coordinator);
      return report?.right === true && among?.includes(index) !== false ? index : undefined;
    });
  }

  /** What is known of one of them by the active one. */
  async lineOf(index: number): Promise<CoordinatorsReport["coordinators"][number] | undefined> {
    const reply = await this.ask({ req_type: "coordinators" });
    const report = reply?.result as CoordinatorsReport | undefined;
    return report?.coordinators.find(({ id }) => id === this.idOf(index));
  }

  /** Waits until it has heard of the active one, and that one finds it level with itself. */
  async level(index: number): Promise<void> {
    await this.cluster.poll(`coordinator ${this.idOf(index)} takes part`, async () => {
      const reply = await this.askOne(index, { req_type: "stats" });
      const { coordinators } = reply.result as { coordinators: { revision: number | null } };
      return coordinators.revision === null ? undefined : true;
    });
    await this.cluster.poll(`coordinator ${this.idOf(index)} is level`, async () => {
      const line = await this.lineOf(index);
      const isFresh = line?.heard_ms !== undefined && line.heard_ms !== null &&
        line.heard_ms < 2_000;
      return line?.role === "active" || (line?.behind === 0 && isFresh) || undefined;
    });
  }

  connect(): Promise<KvClient> {
    return connect({ coordinator: this.addresses, ...this.cluster.credentials });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#standbys.map(async ({ process }) => {
      if (process.ended) return;
      process.signal("SIGCONT");
      await process.crash();
    }));
  }

  async #start(id: string, folder: string, port: number): Promise<ServerProcess> {
    const { host, port: first } = this.#links?.addressOf(0) ?? this.cluster.coordinatorAddress;
    const secured = this.cluster.credentials !== undefined;
    const isNew = port === 0;
    const made = secured && isNew
      ? await this.cluster.order({ req_type: "token_create", join: "coordinator" }) as {
        text: string;
      }
      : undefined;
    return ServerProcess.start(COORDINATOR, [
      "--host=127.0.0.1",
      `--port=${port}`,
      "--http-port=0",
      "--heartbeat-port=0",
      "--discovery=off",
      "--no-cs-config",
      `--id=${id}`,
      `--join=${host}:${first}`,
      `--data=${folder}`,
      ...(secured ? ["--secure"] : []),
      ...(this.#links === undefined
        ? []
        : [`--advertise-host=${this.#links.hostOf(Number(id.slice(1)) - 1)}`]),
    ], {
      cwd: this.cluster.folder,
      detached: false,
      ...(made === undefined ? {} : { env: { KV_JOIN_TOKEN: made.text } }),
    });
  }

  #standby(index: number): Standby {
    const standby = this.#standbys[index - 1];
    if (standby === undefined) throw new Error(`there is no coordinator ${index}`);
    return standby;
  }
}
