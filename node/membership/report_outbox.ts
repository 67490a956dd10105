/**
 * What this node must tell the coordinator: each report is repeated, also over a new session, until the partition's term
 * shows that the coordinator has acted on it, or that it is out of date.
 *
 * @module
 */
import type { Message } from "../../shared/wire/messages.ts";

/** A report to the coordinator that is repeated until the partition's term is past the report's. */
export type Report = Message<"caught_up" | "lagging" | "damaged" | "drained" | "resumed">;

/** Which report is no longer true if another is. */
const UNDOES: { readonly [T in Report["req_type"]]?: Report["req_type"] } = {
  drained: "resumed",
  resumed: "drained",
};

/** The reports that have not been acted on. */
export class ReportOutbox {
  readonly #reports = new Map<string, Report>();
  readonly #send: (report: Report) => void;

  constructor(send: (report: Report) => void) {
    this.#send = send;
  }

  get size(): number {
    return this.#reports.size;
  }

  /** Sends a report; it is sent once until it is repeated. */
  add(report: Report): void {
    const key = keyOf(report);
    if (this.#reports.get(key)?.term === report.term) return;
    // A primary that has drained serves again, or the other way round: only the newer report is true.
    const undone = UNDOES[report.req_type];
    if (undone !== undefined) {
      this.#reports.delete(keyOf({ ...report, req_type: undone } as Report));
    }
    // They are sent again in the order in which they became true.
    this.#reports.delete(key);
    this.#reports.set(key, report);
    this.#send(report);
  }

  /** The partition has reached a term: reports of earlier terms are done. */
  onTerm(partition: number, term: number): void {
    for (const [key, report] of this.#reports) {
      if (report.p === partition && report.term < term) this.#reports.delete(key);
    }
  }

  /** Sends everything again. */
  repeat(): void {
    for (const report of this.#reports.values()) this.#send(report);
  }
}

function keyOf(report: Report): string {
  return "node" in report
    ? `${report.req_type} ${report.p} ${report.node}`
    : `${report.req_type} ${report.p}`;
}
