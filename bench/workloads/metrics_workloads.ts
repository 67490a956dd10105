/**
 * What metrics cost: for each request, alone in its turn or among others, and for each time that somebody asks for them. To
 * be compared with the processor time of a request in the group `node`.
 *
 * @module
 */
import { expositionOf } from "../../shared/metrics/exposition.ts";
import { MetricSet } from "../../shared/metrics/metric_set.ts";
import { RequestMetrics } from "../../shared/metrics/request_metrics.ts";
import { SystemClock } from "../../shared/platform/clock.ts";
import { type Effort, measure, type Report } from "../figure.ts";

const GROUP = "metrics";
/** So many operations have been asked for when everything is put into a text. */
const OPERATIONS = 20;

/** The system's clock, whose turns end when the workload says so. */
class TurnClock extends SystemClock {
  #deferred: (() => void)[] = [];

  override defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  endTurn(): void {
    for (const callback of this.#deferred.splice(0)) callback();
  }
}

/** Measures them. */
export async function measureMetrics(effort: Effort, report: Report): Promise<void> {
  for (const perTurn of [1, 16, 256]) {
    const clock = new TurnClock();
    const metrics = new RequestMetrics(clock);
    const request = { req_type: "get", key: "key:000000012345" };
    const name = `count and time a request, ${perTurn} in a turn`;
    report(
      await measure(GROUP, name, effort, (times) => {
        for (let i = 0; i < times; i++) {
          for (let j = 0; j < perTurn; j++) {
            const began = metrics.beganMs();
            metrics.ended(metrics.series("wire", "get"), began, undefined, request);
          }
          clock.endTurn();
        }
        return metrics.slow.total;
      }, perTurn),
    );
  }
  const metrics = new RequestMetrics(new SystemClock());
  for (let i = 0; i < OPERATIONS; i++) {
    metrics.ended(metrics.series("wire", `operation ${i}`), 0, undefined);
  }
  report(
    await measure(GROUP, `put ${OPERATIONS} operations into a text`, effort, (times) => {
      let length = 0;
      for (let i = 0; i < times; i++) {
        const set = new MetricSet();
        metrics.collect(set);
        length += expositionOf(set).length;
      }
      return length;
    }),
  );
}
