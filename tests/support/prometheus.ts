/**
 * A Prometheus that scrapes processes of a test each second, with the rules of `ops/prometheus/alerts.yml`, which
 * then wait for nothing (`for`), look at short times and count to small numbers, so that a test sees an alert when its
 * reason is there.
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

/** Alerts that a busy machine may cause by itself. */
export const OF_THE_MACHINE = ["KvSlowDisk", "KvEventLoopBlocked", "KvDiskAlmostFull"];

const WAIT_BOUND_MS = 120_000;
const POLL_MS = 200;

/** An alert that fires. */
interface Firing {
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** As whom it scrapes a secured cluster. */
interface Login {
  readonly user: string;
  readonly password: string;
  /** The authority's certificate, PEM. */
  readonly ca: string;
}

/** A running Prometheus. */
export class Prometheus implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: Deno.ChildProcess;
  readonly #port: number;

  readonly #targets: number;

  private constructor(folder: string, child: Deno.ChildProcess, port: number, targets: number) {
    this.#folder = folder;
    this.#child = child;
    this.#port = port;
    this.#targets = targets;
  }

  /**
   * @param targets HTTP ports of this machine
   * @param login of a secured cluster
   */
  static async start(targets: readonly number[], login?: Login): Promise<Prometheus> {
    const folder = await Deno.makeTempDir({ prefix: "kv-prometheus-" });
    const rules = (await Deno.readTextFile("ops/prometheus/alerts.yml"))
      .replace(/^( *)for: .*$/gm, "$1for: 0s").replaceAll("[5m]", "[10s]")
      .replaceAll("> 10000", "> 100");
    if (login !== undefined) await Deno.writeTextFile(`${folder}/ca.crt`, login.ca);
    await Deno.writeTextFile(`${folder}/alerts.yml`, rules);
    await Deno.writeTextFile(
      `${folder}/prometheus.yml`,
      JSON.stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "500ms" },
        rule_files: [`${folder}/alerts.yml`],
        scrape_configs: [{
          job_name: "kv",
          static_configs: [{ targets: targets.map((port) => `127.0.0.1:${port}`) }],
          ...(login === undefined ? {} : {
            scheme: "https",
            tls_config: { ca_file: `${folder}/ca.crt` },
            basic_auth: { username: login.user, password: login.password },
          }),
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
    return new Prometheus(folder, child, port, targets.length);
  }

  /** The names of the alerts that fire. */
  async firing(): Promise<Set<string>> {
    const { data } = await this.#get("alerts") as { data: { alerts: Firing[] } };
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

  /** Waits until all processes were scraped, and no alert fires but perhaps these. */
  async untilQuiet(but: readonly string[]): Promise<void> {
    await this.#poll("all are scraped", async () => {
      const { data } = await this.#get("query?query=sum(up)") as {
        data: { result: { value: [number, string] }[] };
      };
      return Number(data.result[0]?.value[1]) === this.#targets;
    });
    const scrapedMs = Date.now();
    await this.#poll("the rules are judged by that", async () => {
      const { data } = await this.#get("rules") as {
        data: { groups: { lastEvaluation: string }[] };
      };
      return data.groups.every(({ lastEvaluation }) => Date.parse(lastEvaluation) > scrapedMs);
    });
    await this.#poll("nothing fires", (firing) => [...firing].every((name) => but.includes(name)));
  }

  /** Waits until none of these alerts fires. */
  async untilNot(...names: string[]): Promise<void> {
    await this.#poll(
      `${names.join(", ")} end`,
      (firing) => !names.some((name) => firing.has(name)),
    );
  }

  async #get(what: string): Promise<unknown> {
    return await (await fetch(`http://127.0.0.1:${this.#port}/api/v1/${what}`)).json();
  }

  async #poll(
    what: string,
    condition: (firing: ReadonlySet<string>) => boolean | Promise<boolean>,
  ): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let seen: unknown = "no answer";
    while (performance.now() < endMs) {
      // It takes a moment until it listens.
      const firing = await this.firing().catch(() => undefined);
      if (firing !== undefined && await condition(firing)) return;
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
