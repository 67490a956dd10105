/** The numbers of a process, for Prometheus. @module */
import { EXPOSITION_TYPE, expositionOf } from "../../metrics/exposition.ts";
import { endpoint, textResponse } from "./endpoint.ts";

export const getMetrics = endpoint({
  id: "getMetrics",
  summary: "What this process does, in numbers, in Prometheus' text format",
  parameters: {},
  responses: { 200: { description: "The metrics.", contentType: "text/plain" } },
  run: async ({ services: { site } }) =>
    textResponse(await site.metricsText?.() ?? expositionOf(site.metrics()), {
      "content-type": EXPOSITION_TYPE,
      "cache-control": "no-store",
    }),
});
