/**
 * What a process says of itself: its health, and its numbers for Prometheus. The node and the coordinator have the rules and
 * make the report; this file only shows it over HTTP.
 *
 * Invariant: 200 is answered only by a process that can serve. If something keeps it from serving, or
 * keeps a part of its keys from being served, the answer is 503 and names the reason.
 *
 * @module
 */
import { EXPOSITION_TYPE, expositionOf } from "../../metrics/exposition.ts";
import { endpoint, json, textResponse } from "./endpoint.ts";
import { HEALTH, LIVENESS } from "../protocol/schemas.ts";

const RESPONSES = {
  200: { description: "It can serve; `degraded` says that not all is well.", schema: HEALTH },
  503: { description: "It cannot serve.", schema: HEALTH },
};

function health(id: string, summary: string) {
  return endpoint({
    id,
    summary,
    parameters: {},
    responses: RESPONSES,
    run({ services }) {
      const report = services.site.health();
      return json(report.status === "unavailable" ? 503 : 200, report);
    },
  });
}

export const getHealth = health(
  "getHealth",
  "Whether this process can serve, and what is degraded",
);
export const getReadiness = health("getReadiness", "The same, for orchestrators");

export const getLiveness = endpoint({
  id: "getLiveness",
  summary: "Whether this process runs; it says nothing of whether it can serve",
  parameters: {},
  responses: { 200: { description: "It runs.", schema: LIVENESS } },
  run: ({ services }) => json(200, { live: true, role: services.site.health().role }),
});

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
