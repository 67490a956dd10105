/**
 * The processes of a machine's workers: started, read, told, and ended, as the {@linkcode Supervisor} wants it. A
 * worker is this very program again. It ends by itself when its standard input does, so none is left behind, however
 * this process ends; and it is in a process group of its own, so that a Ctrl-C on the terminal comes from here, once.
 *
 * @module
 */
import {
  WORKER_LINE_CHARACTERS_MAX,
  WORKER_LOG_LINE_CHARACTERS_MAX,
} from "../../shared/limits/cluster.ts";
import { LineSplitter } from "./line_splitter.ts";
import type { SupervisorPort, WorkerEnd } from "./supervisor.ts";
import { lineOf, parseReport, type WorkerOrder, type WorkerReport } from "./worker_lines.ts";
import { WORKER_PERMISSIONS } from "./worker_permissions.ts";

/** How the processes are started, and who is told of them. */
export interface WorkersOptions {
  /** The arguments of a worker's command line. */
  argsOf(worker: number): readonly string[];
  onStarted(worker: number, pid: number): void;
  onReport(worker: number, report: WorkerReport): void;
  /** A line of its log. */
  onLog(worker: number, line: string): void;
  onEnded(worker: number, end: WorkerEnd): void;
}

/** The processes that run. */
export class Workers implements Pick<SupervisorPort, "start" | "tell" | "kill"> {
  readonly #options: WorkersOptions;
  readonly #running = new Map<number, WorkerProcess>();
  readonly #command = ownCommand();

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  start(worker: number): void {
    const { onReport, onLog, onEnded, onStarted, argsOf } = this.#options;
    const { path, args } = this.#command;
    const process = new WorkerProcess(path, [...args, ...argsOf(worker)], {
      onReport: (report) => onReport(worker, report),
      onLog: (line) => onLog(worker, line),
    });
    this.#running.set(worker, process);
    onStarted(worker, process.pid);
    void process.ended.then((end) => {
      this.#running.delete(worker);
      onEnded(worker, end);
    });
  }

  tell(worker: number, order: WorkerOrder): void {
    this.#running.get(worker)?.tell(order);
  }

  kill(worker: number): void {
    this.#running.get(worker)?.kill();
  }
}

/** One process. */
class WorkerProcess {
  readonly ended: Promise<WorkerEnd>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  /** Not told yet. Of what it is told of the others, the newest is enough. */
  readonly #orders: WorkerOrder[] = [];
  #view: WorkerOrder | undefined;
  #writing = false;

  constructor(
    path: string,
    args: readonly string[],
    { onReport, onLog }: { onReport(report: WorkerReport): void; onLog(line: string): void },
  ) {
    const child = this.#child = new Deno.Command(path, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#input = child.stdin.getWriter();
    // It may end at any moment; its status says so.
    this.#input.closed.catch(() => {});
    let said = "";
    const readers = [
      eachLine(child.stdout, WORKER_LINE_CHARACTERS_MAX, (line) => {
        const report = parseReport(line);
        if (report !== undefined) onReport(report);
      }),
      eachLine(child.stderr, WORKER_LOG_LINE_CHARACTERS_MAX, (line) => {
        if (line.trim() !== "") said = line;
        onLog(line);
      }),
    ];
    this.ended = child.status.then(async ({ code, signal }) => {
      await Promise.all([this.#input.close().catch(() => {}), ...readers]);
      return { code, signal, said };
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  tell(order: WorkerOrder): void {
    if (order.order === "workers") this.#view = order;
    else this.#orders.push(order);
    if (!this.#writing) void this.#write();
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It ended a moment ago.
    }
  }

  async #write(): Promise<void> {
    this.#writing = true;
    for (let order; (order = this.#next()) !== undefined;) {
      // Who does not read any more has ended.
      await this.#input.write(new TextEncoder().encode(`${lineOf(order)}\n`)).catch(() => {});
    }
    this.#writing = false;
  }

  #next(): WorkerOrder | undefined {
    const order = this.#orders.shift();
    if (order !== undefined) return order;
    const view = this.#view;
    this.#view = undefined;
    return view;
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  charactersMax: number,
  onLine: (line: string) => void,
): Promise<void> {
  const lines = new LineSplitter(charactersMax, onLine);
  for await (const bytes of stream) lines.push(bytes);
  lines.end();
}

/** How this program is started: compiled, from one file in a self-extracting executable, or from source. */
function ownCommand(): { readonly path: string; readonly args: readonly string[] } {
  const path = Deno.execPath();
  if (Deno.build.standalone) return { path, args: [] };
  const main = decodeURIComponent(new URL(Deno.mainModule).pathname);
  // A bundled program has all that it needs in its file (tools/self_extracting.ts).
  const bundled = ["--no-config", "--no-lock", "--no-npm", "--no-remote", "--unstable-net"];
  const args = ["run", "--quiet", "--no-prompt", ...(main.endsWith(".js") ? bundled : [])];
  return { path, args: [...args, ...WORKER_PERMISSIONS, main] };
}
