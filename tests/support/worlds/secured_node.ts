/**
 * A real `kv-node --standalone --secure` in a folder of its own, and `kv-client` for it.
 *
 *     await using node = await SecuredNode.make();
 *     await node.start();
 *     await node.shell(`${node.security}/admin.json`, "put", "k", "v");
 *
 * @module
 */
import { CLIENT, NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";

/** What its first file of credentials holds. */
export interface Credentials {
  readonly ca: string;
  readonly user: string;
  readonly password: string;
}

interface StartOptions {
  readonly executable?: string;
  readonly flags?: readonly string[];
}

/** The node. */
export class SecuredNode implements AsyncDisposable {
  readonly folder: string;
  readonly #processes: ServerProcess[] = [];
  port = 0;
  httpPort = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<SecuredNode> {
    return new SecuredNode(await Deno.makeTempDir({ prefix: "kv-secured-test-" }));
  }

  /** What the processes have said. */
  get log(): string {
    return this.#processes.flatMap((process) => process.log).join("\n");
  }

  /** The process that was started last. */
  get process(): ServerProcess {
    const process = this.#processes.at(-1);
    if (process === undefined) throw new Error("not started");
    return process;
  }

  /** The folder of its users and keys. */
  get security(): string {
    return `${this.folder}/data.security`;
  }

  /** Starts it (again), on any port. @param executable see `full_disk.ts` */
  async start({ executable, flags = [] }: StartOptions = {}): Promise<void> {
    const args = [
      "--standalone",
      "--secure",
      `--data=${this.folder}/data`,
      "--port=0",
      "--http-port=0",
      "--partitions=8",
      ...flags,
    ];
    const process = ServerProcess.start(NODE, args, {
      cwd: this.folder,
      detached: false,
      ...(executable === undefined ? {} : { executable }),
    });
    this.#processes.push(process);
    const ready = await process.ready;
    this.port = ready.port;
    this.httpPort = ready.facts.http ?? 0;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((process) => process.stop()));
  }

  /** The first administrator's credentials. */
  async admin(): Promise<Credentials> {
    return JSON.parse(await Deno.readTextFile(`${this.security}/admin.json`));
  }

  /** One command of the shell. */
  async shell(credentials: string | undefined, ...words: string[]) {
    const named = credentials === undefined ? [] : [`--credentials=${credentials}`];
    return await this.client(`--coordinator=127.0.0.1:${this.port}`, ...named, ...words);
  }

  /** The command line of `kv-client`, without an address. */
  get clientLine(): string[] {
    return [
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--quiet",
      ...CLIENT.permissions,
      new URL(`../../../${CLIENT.entry}`, import.meta.url).pathname,
    ];
  }

  /** How a client is run: its user's configuration is in the folder. (In `HOME` there is Deno's cache as well.) */
  get clientOptions(): Deno.CommandOptions {
    return { cwd: this.folder, env: { XDG_CONFIG_HOME: `${this.folder}/config` } };
  }

  /** `kv-client`. */
  async client(...words: string[]) {
    const [program = "", ...args] = this.clientLine;
    const { code, stdout, stderr } = await new Deno.Command(program, {
      ...this.clientOptions,
      args: [...args, ...words],
      stdin: "null",
    }).output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    return { code, out: out ?? "", error: error ?? "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}
