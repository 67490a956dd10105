/**
 * What the settings of a machine mean for each of its workers: its ports, its folder, its part of the memory. Pure.
 *
 * All workers share the machine's ports. Besides, each has ports of its own, by which the map names it: those of the
 * machine plus its number.
 *
 * @module
 */
import { KvError } from "../shared/base/errors.ts";
import { WORKERS_MAX } from "../shared/limits/cluster.ts";
import { HTTP_PORT_OFFSET } from "../shared/limits/http.ts";

/** Of the settings of a node, those that differ between a machine and its workers. */
export interface MachineSettings {
  readonly workers: number;
  readonly worker: string | undefined;
  readonly standalone: boolean;
  readonly port: number;
  readonly httpPort: number | "off" | undefined;
  readonly peerPort: number;
  readonly data: string | undefined;
  readonly storage: "leveldb" | "memory";
  readonly cacheBytes: number;
  readonly endWithInput: boolean;
}

/** The ports that all workers of a machine share. */
export interface SharedPorts {
  readonly port: number;
  readonly httpPort: number | "off";
}

/** Which worker of its machine a process is. */
export interface WorkerPlace extends SharedPorts {
  /** From 1 on. */
  readonly number: number;
}

const PORT_MAX = 65_535;

/** As the flag `--worker` has it: `2:8081:9081`. */
export function placeText({ number, port, httpPort }: WorkerPlace): string {
  return `${number}:${port}:${httpPort}`;
}

/** @throws {KvError} `bad_config` */
export function parsePlace(text: string): WorkerPlace {
  const [, number, port, httpPort] = /^(\d{1,3}):(\d{1,5}):(\d{1,5}|off)$/.exec(text) ?? [];
  if (number === undefined || Number(number) < 1 || Number(number) > WORKERS_MAX) {
    throw new KvError(
      "bad_config",
      "--worker is given by kv-node --workers to its processes; leave it out",
    );
  }
  return {
    number: Number(number),
    port: Number(port),
    httpPort: httpPort === "off" ? "off" : Number(httpPort),
  };
}

/** The folder of a worker, inside of the machine's. */
export function workerFolder(machineFolder: string, number: number): string {
  return `${machineFolder.replace(/(?<=.)\/+$/, "")}/worker-${number}`;
}

/** The folder of a machine: the one that was named, or that of its port. */
export function machineFolder({ data }: Pick<MachineSettings, "data">, port: number): string {
  return data ?? `.kv-node-${port}`;
}

/** The settings of one worker: those of a node that is alone. */
export function settingsOfWorker<S extends MachineSettings>(config: S, place: WorkerPlace): S {
  const { number } = place;
  const data = config.storage === "memory" && config.data === undefined
    ? undefined
    : workerFolder(machineFolder(config, place.port), number);
  return {
    ...config,
    ...ownPorts(config, place),
    data,
    cacheBytes: Math.floor(config.cacheBytes / config.workers),
    peerPort: config.peerPort === 0 ? 0 : config.peerPort + number,
    // Its supervisor holds the other end, and no worker is to go on alone.
    endWithInput: true,
  };
}

/** The ports of one worker; 0: the system chooses one. */
export function ownPorts(
  config: Pick<MachineSettings, "port" | "httpPort">,
  { number, port, httpPort }: WorkerPlace,
): { readonly port: number; readonly httpPort: number | "off" } {
  const isFree = config.port === 0;
  const isHttpFree = config.httpPort === 0 ||
    (config.httpPort === undefined && (isFree || port + HTTP_PORT_OFFSET > PORT_MAX));
  return {
    port: isFree ? 0 : port + number,
    httpPort: httpPort === "off" ? "off" : isHttpFree ? 0 : httpPort + number,
  };
}

/** Why a machine with these settings cannot have several workers, or undefined. */
export function whyNoWorkers(values: MachineSettings): string | undefined {
  const { workers, worker, standalone, port, httpPort, peerPort } = values;
  if (workers === 1) {
    return worker === undefined
      ? undefined
      : "--worker is given by kv-node --workers to its processes; leave it out";
  }
  if (standalone) {
    return "--standalone is a cluster of one node, and each of several workers is a node; leave out " +
      "--workers, or start a kv-coordinator";
  }
  const highest = Math.max(port, typeof httpPort === "number" ? httpPort : 0, peerPort);
  if (highest + workers > PORT_MAX) {
    return `with --workers ${workers} the ports up to ${
      highest + workers
    } would be needed, and the last ` +
      `port is ${PORT_MAX}`;
  }
  return undefined;
}
