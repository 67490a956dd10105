/**
 * OpenTelemetry as Deno has it (`OTEL_DENO`), with a collector of our own: what a client does, and what each node does
 * for it, are one trace.
 */
import { assert, assertEquals } from "@std/assert";
import { NODE } from "../../../tools/programs.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

interface Span {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly node: string | undefined;
  readonly replica: string | undefined;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

interface Export {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<Span, "service" | "node" | "replica"> & {
        readonly attributes: readonly Attribute[];
      })[];
    }[];
  }[];
}

function valueOf(attributes: readonly Attribute[], key: string): string | undefined {
  return attributes.find((one) => one.key === key)?.value.stringValue;
}

/** Takes what programs export (OTLP over HTTP, as JSON). */
class Collector implements AsyncDisposable {
  readonly spans: Span[] = [];
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { resourceSpans = [] } = await request.json() as Export;
      for (const { resource, scopeSpans } of resourceSpans) {
        const service = valueOf(resource.attributes, "service.name") ?? "";
        for (const { attributes, ...span } of scopeSpans.flatMap(({ spans }) => spans)) {
          const node = valueOf(attributes, "kv.node");
          const replica = valueOf(attributes, "kv.replica");
          this.spans.push({ ...span, service, node, replica });
        }
      }
      return Response.json({});
    },
  );

  /** For a program that is to export here. */
  env(service: string): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_METRICS_EXPORTER: "none",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_SERVICE_NAME: service,
    };
  }

  /** The span of a service that is right below another one. */
  below(parent: Span | undefined, service: string, name: string): Span | undefined {
    return this.spans.find((span) =>
      span.service === service && span.name === name && span.traceId === parent?.traceId &&
      span.parentSpanId === parent.spanId
    );
  }

  /** The replicas of a write, as the spans below its span name them. */
  replicasOf(write: Span | undefined): string[] {
    return this.spans.flatMap(({ name, parentSpanId, replica }) =>
      name === "replicate" && parentSpanId === write?.spanId ? replica ?? [] : []
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Puts a key by the library, and one by HTTP at a node that is not its primary. */
const PROGRAM = `
const { connect } = await import("kv-client");
await using kv = await connect();
await kv.put("by library", "v");
await kv.get("by library");
await (await fetch(Deno.args[0], { method: "PUT", body: "v" })).body.cancel();
`;

Deno.test("OpenTelemetry: client, the node that is asked, the primary and the copies are one trace, over the wire and over HTTP", async () => {
  await using collector = new Collector();
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  try {
    const exports = Object.entries(collector.env("kv-node"))
      .map(([name, value]) => `export ${name}='${value}'\n`).join("");
    const run = [Deno.execPath(), "run", "--quiet", "--no-prompt", ...NODE.permissions];
    const quoted = [...run, ROOT + NODE.entry].map((word) => `'${word}'`).join(" ");
    const nodeExecutable = `${folder}/node.sh`;
    const text = `#!/bin/sh\n${exports}exec ${quoted} "$@"\n`;
    await Deno.writeTextFile(nodeExecutable, text, { mode: 0o700 });
    await using cluster = await TestCluster.start({ nodes: 2, nodeExecutable });
    const key = "by-http";
    const primary = await cluster.primaryOf(key);
    const other = formatAddress(cluster.nodeHttpAddress(1 - primary));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", PROGRAM, `http://${other}/kv/${key}`],
      cwd: ROOT,
      env: {
        ...collector.env("program"),
        KV_COORDINATOR: formatAddress(cluster.coordinatorAddress),
      },
      stdin: "null",
    }).output();
    assert(success, new TextDecoder().decode(stderr));

    const own = (name: string) =>
      collector.spans.find((span) => span.service === "program" && span.name === name);
    const found = await cluster.poll("all spans", () => {
      const put = collector.below(own("put"), "kv-node", "put");
      const get = collector.below(own("get"), "kv-node", "get");
      const http = collector.below(own("PUT"), "kv-node", "PUT /kv/{key}");
      const forwarded = collector.below(http, "kv-node", "put");
      const all = { put, get, http, forwarded };
      const isMissing = Object.values(all).includes(undefined) ||
        [put, forwarded].some((one) => collector.replicasOf(one).length < 2);
      return Promise.resolve(isMissing ? undefined : all);
    }, () => JSON.stringify(collector.spans));
    const ids = (await cluster.map()).nodes.map(({ id }) => id);
    assert(found.put?.node !== undefined && ids.includes(found.put.node));
    assertEquals(new Set([found.http?.node, found.forwarded?.node]).size, 2, "two nodes");
    for (const write of [found.put, found.forwarded]) {
      assertEquals(collector.replicasOf(write).toSorted(), ids.toSorted(), "a span for each copy");
    }

    // Who is in no trace makes none.
    const before = collector.spans.length;
    await using kv = await cluster.connect();
    await kv.put("untraced", "v");
    assertEquals(collector.spans.slice(before).filter(({ service }) => service === "kv-node"), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
