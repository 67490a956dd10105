/** A report of one coordinator that is alone, and well. */
import type { CoordinatorsReport } from "../../../coordinator/coordinators_report.ts";

export const ALONE: CoordinatorsReport = {
  coordinator: "c1",
  role: "active",
  right: true,
  generation: 2,
  revision: 1,
  needed: 1,
  active_since: 0,
  activities: 1,
  last_end: null,
  coordinators: [
    { id: "c1", folder: "f1", address: "h:1", role: "active", behind: 0, heard_ms: 0 },
  ],
};
