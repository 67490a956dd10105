/**
 * A Prometheus that scrapes processes of a test each second, with the rules of `ops/prometheus/alerts.yml`, which
 * then wait for nothing (`for`) and look at short times, so that a test sees an alert when its reason is there.
 *
 * @module
 */
import { freePort } from "../../tools/free_port.ts";
import { hasProgram } from "./needs.ts";

/** For {@linkcode needing}. */
export const PROMETHEUS = {
  met: hasProgram("prometheus", "--version"),
  otherwise: "no prometheus (Debian's package)",
};

const WAIT_BOUND_MS = 120_000;
const POLL_MS = 200;

/** An alert that fires. */
interface Firing {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A running Prometheus. */
export class Prometheus implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: Deno.ChildProcess;
  readonly #port: number;

  private constructor(folder: string, child: Deno.ChildProcess, port: number) {
    this.#folder = folder;
    this.#child = child;
    this.#port = port;
  }

  /** @param targets HTTP ports of this machine */
  static async start(targets: readonly number[]): Promise<Prometheus> {
    const folder = await Deno.makeTempDir({ prefix: "kv-prometheus-" });
    const rules = (await Deno.readTextFile("ops/prometheus/alerts.yml"))
      .replace(/^( *)for: .*$/gm, "$1for: 0s").replaceAll("[5m]", "[10s]");
    await Deno.writeTextFile(`${folder}/alerts.yml`, rules);
    await Deno.writeTextFile(
      `${folder}/prometheus.yml`,
      JSON.stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "500ms" },
        rule_files: [`${folder}/alerts.yml`],
        scrape_configs: [{
          job_name: "kv",
          static_configs: [{ targets: targets.map((port) => `127.0.0.1:${port}`) }],
        }],
      }),
    );
    const port = freePort();
    const child = new Deno.Command("prometheus", {
      args: [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=error",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new Prometheus(folder, child, port);
  }

  /** The names of the alerts that fire. */
  async firing(): Promise<Set<string>> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/api/v1/alerts`);
    const { data } = await response.json() as { data: { alerts: Firing[] } };
    const fire = data.alerts.filter(({ state }) => state === "firing");
    return new Set(fire.map(({ labels }) => labels.alertname ?? ""));
  }

  /** Waits until these alerts fire. */
  async until(...names: string[]): Promise<void> {
    await this.#poll(
      `${names.join(", ")} fire`,
      (firing) => names.every((name) => firing.has(name)),
    );
  }

  /** Waits until no alert fires but perhaps these. */
  async untilQuiet(but: readonly string[]): Promise<void> {
    await this.#poll("nothing fires", (firing) => [...firing].every((name) => but.includes(name)));
  }

  /** Waits until none of these alerts fires. */
  async untilNot(...names: string[]): Promise<void> {
    await this.#poll(
      `${names.join(", ")} end`,
      (firing) => !names.some((name) => firing.has(name)),
    );
  }

  async #poll(what: string, condition: (firing: ReadonlySet<string>) => boolean): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let seen: unknown = "no answer";
    while (performance.now() < endMs) {
      // It takes a moment until it listens.
      const firing = await this.firing().catch(() => undefined);
      if (firing !== undefined && condition(firing)) return;
      seen = firing === undefined ? seen : [...firing];
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`waited in vain: ${what}; there are ${JSON.stringify(seen)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
