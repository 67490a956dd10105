/**
 * A redis-server to compare with, without anything on disk, on a socket in a folder of its own. Tests that need
 * one say so, and are left out on a machine without it.
 *
 * @module
 */
import { RespClient } from "./resp_client.ts";

/** Whether a program of Redis is installed, at a version whose behaviour ours has. */
export function hasRedis(program: "redis-server" | "redis-cli" | "redis-benchmark"): boolean {
  try {
    const { success, stdout } = new Deno.Command(program, { args: ["--version"] }).outputSync();
    return success && (program !== "redis-server" || /v=7\.0\./.test(text(stdout)));
  } catch {
    return false;
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A running server. */
export class RedisServer implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;

  private constructor(folder: string, path: string, process: Deno.ChildProcess) {
    this.#folder = folder;
    this.path = path;
    this.#process = process;
  }

  static async start(): Promise<RedisServer> {
    const folder = await Deno.makeTempDir({ prefix: "kv-redis-" });
    const path = `${folder}/redis.sock`;
    const args = ["--port", "0", "--unixsocket", path, "--dir", folder];
    args.push("--save", "", "--appendonly", "no");
    const process = new Deno.Command("redis-server", { args, stdout: "piped", stderr: "null" })
      .spawn();
    const server = new RedisServer(folder, path, process);
    // It says when it is ready; what it says behind that is let go.
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!/ready to accept connections/i.test(said)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`redis-server did not start:\n${said}`);
      said += value;
    }
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return server;
  }

  connect(): Promise<RespClient> {
    return RespClient.connect({ path: this.path });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
