/** What `/metrics` of a process of a test says. @module */
import type { Address } from "../../shared/platform/transport.ts";
import { hasProgram } from "./needs.ts";

/** Prometheus' tool: checks metrics, rules, and runs rules' tests. */
export const PROMTOOL = {
  met: hasProgram("promtool", "--version"),
  otherwise: "no promtool (Debian's package prometheus)",
};

/** Series by their text, such as `kv_replicas{state="primary"}`. */
export type Series = ReadonlyMap<string, number>;

/** The text of `/metrics`. */
export async function metricsText({ host, port }: Address): Promise<string> {
  const response = await fetch(`http://${host}:${port}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/metrics: ${response.status} ${text}`);
  return text;
}

/** The series in a text. */
export function seriesOf(text: string): Series {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

/** Runs promtool on a text. @returns what it complains of */
export async function promtool(args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command("promtool", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  return success ? "" : said || "it failed";
}
