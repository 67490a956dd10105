/**
 * `kv-node --workers N`: the supervisor's process. It finds the ports, holds the machine's folder, runs the workers,
 * and passes on what it is told. It opens no data and serves nobody.
 *
 * @module
 */
import { KvError } from "../shared/base/errors.ts";
import { WORKER_REPORT_MS } from "../shared/limits/cluster.ts";
import { httpAddresses } from "../shared/http/http_settings.ts";
import { CAN_SHARE_PORT } from "../shared/platform/deno/deno_listen.ts";
import { bindError } from "../shared/platform/deno/deno_stream.ts";
import { SystemRandom } from "../shared/platform/random.ts";
import { formatAddress } from "../shared/platform/transport.ts";
import { keepOnly } from "../shared/program/deno_permissions.ts";
import { EXIT_DEFECT, exitOnDefect, type Run, untilInputEnds } from "../shared/program/program.ts";
import { Workers } from "./workers/deno_workers.ts";
import { MachineFolder } from "./workers/file_machine_folder.ts";
import { Supervisor, type SupervisorPort } from "./workers/supervisor.ts";
import { clientAddresses, NODE_PORTS_TRIED, NODE_PROGRAM, type NODE_SETTINGS } from "./settings.ts";
import { machineFolder, placeText, type SharedPorts } from "./worker_settings.ts";

type NodeRun = Run<typeof NODE_SETTINGS>;

/** How often the supervisor looks at the time. */
const TICK_MS = WORKER_REPORT_MS / 5;

/** Runs the machine to its end. @returns the exit code @throws {KvError} if it cannot begin */
export async function runMachine(run: NodeRun): Promise<number> {
  exitOnDefect(NODE_PROGRAM.name);
  const { config, logger } = run;
  refuseIncapable();
  const holding: Deno.Listener[] = [];
  const ports = findPorts(run, holding);
  const folder = config.storage === "memory" ? undefined : machineFolder(config, ports.port);
  const held = folder === undefined ? undefined : await MachineFolder.open(folder, config.workers);
  const log = logger("workers");
  // Found before the permission to ask is given up.
  const isTerminal = Deno.stderr.isTerminal();
  const processes: Workers = new Workers({
    argsOf: (worker) => [
      `--worker=${placeText({ number: worker, ...ports })}`,
      // A worker's standard error is a pipe; the lines end at our terminal.
      ...(isTerminal && run.sources.logFormat === "default" ? ["--log-format=text"] : []),
      ...Deno.args,
    ],
    onStarted: (worker, pid) => log.info("a worker is started", { worker, pid }),
    onReport: (worker, report) => {
      if (report.report === "ready") {
        const { port, http } = report;
        log.info("a worker listens", { worker, port, http });
        for (const listener of holding.splice(0)) listener.close();
      }
      supervisor.onReport(worker, report, performance.now());
    },
    onLog: (worker, line) => run.logLine(withNumber(worker, line)),
    onEnded: (worker, end) => supervisor.onEnded(worker, end, performance.now()),
  });
  keepOnly({ read: [], write: folder === undefined ? [] : [folder], run: true }, log);
  for (const name of ["net", "sys"] as const) Deno.permissions.revokeSync({ name });

  const over = Promise.withResolvers<number>();
  const port: SupervisorPort = {
    start: (worker) => processes.start(worker),
    tell: (worker, order) => processes.tell(worker, order),
    kill: (worker) => processes.kill(worker),
    ready: () => console.log(readyLine(config, ports)),
    left: (worker) =>
      void held?.noteLeft(worker).catch((error) =>
        log.error("it cannot be noted that a worker has left", { worker, error: error.message })
      ),
    over: over.resolve,
  };
  const numbers = Array.from({ length: config.workers }, (_, i) => i + 1);
  const supervisor = new Supervisor(numbers, { port, random: new SystemRandom(), log });
  obeySignals(supervisor);
  if (config.endWithInput) void untilInputEnds().then(() => supervisor.stop());
  supervisor.start(performance.now());
  const timer = setInterval(() => supervisor.onTick(performance.now()), TICK_MS);
  const exitCode = await over.promise;
  clearInterval(timer);
  await held?.close();
  if (exitCode !== 0) {
    log.error("ended with a failure", { exit_code: exitCode, defect: exitCode === EXIT_DEFECT });
  }
  return exitCode;
}

/** The first SIGTERM or SIGINT stops the machine in good order, a second one at once; SIGUSR1 takes it out of the cluster. */
function obeySignals(supervisor: Supervisor): void {
  let told = false;
  for (const [signal, exitCode] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    Deno.addSignalListener(signal, () => {
      if (told) supervisor.kill(exitCode);
      else supervisor.stop();
      told = true;
    });
  }
  Deno.addSignalListener("SIGUSR1", () => supervisor.leave());
}

/** @throws {KvError} `bad_config` if this system, or this process, cannot have workers */
function refuseIncapable(): void {
  if (!CAN_SHARE_PORT) {
    throw new KvError(
      "bad_config",
      "--workers needs Linux, where processes can share a port; on this system start kv-node several times, each " +
        "with a --port and a --data folder of its own, and the same --zone",
    );
  }
  if (Deno.permissions.querySync({ name: "run", command: Deno.execPath() }).state !== "granted") {
    throw new KvError(
      "bad_config",
      "--workers starts processes, which needs deno run --allow-run",
    );
  }
}

/**
 * The ports that all workers share: those that were asked for, or the first for which those of all workers are free too.
 *
 * @param holding gets a listener for each port that the system has chosen, so that it gives that to nobody else until
 * a worker listens; nobody knows these ports before
 * @throws {KvError} `address_in_use`
 */
function findPorts({ config, sources }: NodeRun, holding: Deno.Listener[]): SharedPorts {
  const { host, workers } = config;
  let taken = 0;
  for (const { port } of clientAddresses(config, sources.port !== "default")) {
    const shared = port === 0 ? systemPort(host, holding) : port;
    taken = port === 0 ? 0 : takenOf(host, port, workers);
    if (taken !== 0) continue;
    const web = httpAddresses(config, shared, sources.port === "default" ? NODE_PORTS_TRIED : 0);
    if (web.length === 0) return { port: shared, httpPort: "off" };
    for (const { port: asked } of web) {
      const httpPort = asked === 0 ? systemPort(host, holding) : asked;
      taken = asked === 0 ? 0 : takenOf(host, asked, workers);
      if (taken === 0) return { port: shared, httpPort };
    }
  }
  throw new KvError(
    "address_in_use",
    `another process listens on ${
      formatAddress({ host, port: taken })
    }; ${workers} workers need a port of ` +
      `their own each, after the one that they share: name another --port (or --http-port)`,
  );
}

/** The first port from one on that is in use, of it and as many behind it; 0 if none is. */
function takenOf(host: string, first: number, behind: number): number {
  for (let port = first; port <= first + behind; port++) {
    try {
      Deno.listen({ hostname: host, port }).close();
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) return port;
      throw bindError("listen on", { host, port }, error);
    }
  }
  return 0;
}

function systemPort(host: string, holding: Deno.Listener[]): number {
  const listener = Deno.listen({ hostname: host, port: 0, reusePort: true });
  holding.push(listener);
  return listener.addr.port;
}

/** A worker's line in the log of the machine. */
function withNumber(worker: number, line: string): string {
  return line.startsWith('{"')
    ? `{"worker":${worker},${line.slice(1)}`
    : `[worker ${worker}] ${line}`;
}

/** `kv-node 127.0.0.1:8081 http=9081 pid=4242 workers=4` */
function readyLine({ host, workers }: NodeRun["config"], { port, httpPort }: SharedPorts): string {
  const http = httpPort === "off" ? 0 : httpPort;
  return `${NODE_PROGRAM.name} ${
    formatAddress({ host, port })
  } http=${http} pid=${Deno.pid} workers=${workers}`;
}
