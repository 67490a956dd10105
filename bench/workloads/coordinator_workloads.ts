/**
 * A change of the cluster's document at three coordinators, from the order to the moment at which all have it on disk,
 * with small and large maps. All three are in this process, so that the work of each counts. The state machines are the
 * product's; what they send and write is put into JSON and back, and each record is written and synced as a coordinator
 * does it.
 *
 * @module
 */
import { formatEnvelope, parseEnvelope } from "../../coordinator/agreement/envelope.ts";
import { place } from "../../coordinator/placement/placement.ts";
import type { CoordinatorMember } from "../../coordinator/register/coordinator_set.ts";
import type { Stamped } from "../../coordinator/register/register.ts";
import { type RegisterInput, RegisterMember } from "../../coordinator/register/register_member.ts";
import type { RegisterReady } from "../../coordinator/register/register_ready.ts";
import {
  CLUSTER_DIFFERENCES,
  type ClusterDocument,
  parseClusterDocument,
} from "../../coordinator/state/cluster_document.ts";
import { newClusterRecord } from "../../coordinator/state/coordinator_record.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { NodeInfo } from "../../shared/cluster/cluster_map.ts";
import { COORDINATOR_CONFIRM_MS, COORDINATOR_TICK_MS } from "../../shared/limits/membership.ts";
import { FileDocumentStore } from "../../shared/platform/deno/file_document_store.ts";
import { randomId, SeededRandom } from "../../shared/platform/random.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { type Effort, measure, type Report } from "../figure.ts";

const GROUP = "coordinators";
const REPLICATION_FACTOR = 3;
const MAPS = [
  { nodes: 3, partitions: 256 },
  { nodes: 1_000, partitions: 65_536 },
] as const;
const IDS = ["c1", "c2", "c3"] as const;

type Ready = RegisterReady<ClusterDocument>;
type Input = RegisterInput<ClusterDocument>;

/** Measures it. @param folder on the disk that is to be measured */
export async function measureCoordinators(
  effort: Effort,
  folder: string,
  report: Report,
): Promise<void> {
  for (const { nodes, partitions } of MAPS) {
    const map = `${nodes.toLocaleString("en")} nodes, ${
      partitions.toLocaleString("en")
    } partitions`;
    const three = new Three(nodes, partitions, `${folder}/register-${nodes}`);
    await three.begin();
    const change = async (times: number) => {
      for (let i = 0; i < times; i++) await three.change();
      return three.epoch;
    };
    report(await measure(GROUP, `a primary moves: ${map}`, effort, change));
    const { record, message } = three.sizes;
    for (const [name, bytes] of [["record on disk", record], ["message", message]] as const) {
      report({
        group: GROUP,
        name: `${name}: ${map}`,
        unit: "bytes",
        median: bytes,
        rounds: [bytes],
      });
    }
  }
}

/** Three coordinators in this process. */
class Three {
  readonly #members = new Map<string, RegisterMember<ClusterDocument>>();
  readonly #stores = new Map<string, FileDocumentStore>();
  readonly #pending: Promise<void>[] = [];
  readonly #folder: string;
  #nowMs = 1_000_000;
  #held: Stamped<ClusterDocument> | undefined;
  #chosen = false;
  epoch = 0;
  /** What was written last, and the longest message of the last change. */
  #record: unknown;
  #messageBytes = 0;

  constructor(nodes: number, partitions: number, folder: string) {
    this.#folder = folder;
    const voters: CoordinatorMember[] = IDS.map((id, i) => ({
      id,
      folder: `f-${id}`,
      address: { host: "h", port: i + 1 },
    }));
    const [first] = voters;
    if (first === undefined) throw new KvError("internal", "there are three");
    const settings = { partitionCount: partitions, replicationFactor: REPLICATION_FACTOR };
    const { accepted, ...record } = newClusterRecord(first, { clusterId: "bench", settings });
    if (accepted === undefined) throw new KvError("internal", "a new cluster has a document");
    const { stamp, document: { body } } = accepted;
    const full = withMap(body, nodes, partitions);
    const document = { set: { voters, joint: false }, body: full };
    for (const { id, folder, address } of voters) {
      const random = new SeededRandom(address.port);
      const started = { ...record, id, folder, accepted: { stamp, document } };
      const options = { record: started, address, random, differences: CLUSTER_DIFFERENCES };
      this.#members.set(id, new RegisterMember(options, this.#now()));
    }
  }

  get sizes(): { readonly record: number; readonly message: number } {
    return { record: JSON.stringify(this.#record).length, message: this.#messageBytes };
  }

  /** Until one of them is active. */
  async begin(): Promise<void> {
    await Deno.mkdir(this.#folder, { recursive: true });
    for (const id of IDS) {
      this.#stores.set(id, new FileDocumentStore(`${this.#folder}/${id}.json`));
    }
    for (let i = 0; i < 400 && this.#held === undefined; i++) {
      this.#nowMs += COORDINATOR_TICK_MS;
      for (const id of IDS) this.#step(id, { type: "tick" });
      await this.#settle();
    }
    if (this.#held === undefined) throw new KvError("internal", "no coordinator became active");
  }

  /** One partition gets another primary; resolves when all have that on disk, and so a majority. */
  async change(): Promise<void> {
    const { stamp, document } = this.#held ?? {};
    if (stamp === undefined || document === undefined) return;
    const { cluster } = document;
    const partitions = [...cluster.map.partitions];
    const at = ++this.epoch % partitions.length;
    const before = partitions[at];
    if (before === undefined) return;
    const inSync = [...before.inSync.slice(1), ...before.inSync.slice(0, 1)];
    partitions[at] = { ...before, term: before.term + 1, primary: inSync[0], inSync };
    const map = { ...cluster.map, epoch: cluster.map.epoch + 1, partitions };
    const body = { ...document, cluster: { ...cluster, map } };
    this.#chosen = false;
    this.#messageBytes = 0;
    // It keeps its right by asking, as it does all the time.
    if (this.epoch % 8 === 0) this.#nowMs += COORDINATOR_CONFIRM_MS / 2;
    const active = stamp.generation.coordinator;
    this.#step(active, { type: "compare_and_set", token: this.epoch, expected: stamp, body });
    while (!this.#chosen) {
      await this.#settle();
      if (this.#chosen) break;
      this.#nowMs += COORDINATOR_TICK_MS;
      for (const id of IDS) this.#step(id, { type: "tick" });
    }
  }

  async #settle(): Promise<void> {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      await next;
    }
  }

  #now() {
    return { monotonicMs: this.#nowMs, wallMs: this.#nowMs };
  }

  #step(id: string, input: Input): void {
    const member = this.#members.get(id);
    if (member !== undefined) this.#perform(id, member.step(input, this.#now()));
  }

  #perform(id: string, { record, messages, held, chosen }: Ready): void {
    if (record !== undefined) {
      this.#record = record;
      const written = this.#stores.get(id)?.write(record) ?? Promise.resolve();
      this.#pending.push(written.then(() => this.#step(id, { type: "persisted" })));
    }
    for (const { address, envelope } of messages) {
      const text = formatEnvelope(envelope);
      this.#messageBytes = Math.max(this.#messageBytes, text.length);
      const message: Message<"agree"> = JSON.parse(text);
      const to = IDS[address.port - 1];
      if (to === undefined) continue;
      const arrived = parseEnvelope(message, parseClusterDocument);
      this.#pending.push(
        Promise.resolve().then(() => this.#step(to, { type: "message", envelope: arrived })),
      );
    }
    if (held !== undefined) this.#held = { stamp: held.stamp, document: held.document.body };
    const isActive = this.#members.get(id)?.role === "active";
    if (chosen !== undefined && isActive && this.#held !== undefined) {
      this.#held = { stamp: chosen.stamp, document: chosen.document.body };
      this.#chosen = true;
    }
  }
}

/** The document of a cluster that was laid out on so many nodes. */
function withMap(body: ClusterDocument, nodes: number, partitions: number): ClusterDocument {
  const random = new SeededRandom(nodes);
  const infos: NodeInfo[] = Array.from({ length: nodes }, (_, i) => ({
    id: randomId(random),
    host: `node-${i}.example`,
    port: 8081,
    httpPort: 9081,
    zone: `zone-${i % 3}`,
    weight: 1,
    incarnation: 1,
    state: "up",
  }));
  const configs = place(infos, partitions, REPLICATION_FACTOR).map((inSync) => ({
    term: 1,
    primary: inSync[0],
    inSync,
    learners: [],
  }));
  const { cluster } = body;
  const map = { ...cluster.map, epoch: 1, nodes: infos, partitions: configs };
  return { ...body, cluster: { ...cluster, map } };
}
