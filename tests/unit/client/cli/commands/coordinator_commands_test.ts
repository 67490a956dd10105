import { assertEquals, assertStringIncludes } from "@std/assert";
import type { CoordinatorsReport } from "../../../../../client/calls/call.ts";
import { coordinatorsText } from "../../../../../client/cli/commands/node_commands.ts";

const REPORT: CoordinatorsReport = {
  coordinator: "c1",
  right: true,
  generation: 4,
  active_since: Date.UTC(2026, 0, 1),
  coordinators: [
    { id: "c1", address: "h:1", role: "active", behind: 0, heard_ms: 0 },
    { id: "c2", address: "h:2", role: "standby", behind: 2, heard_ms: 1_240 },
    { id: "c3", address: "h:3", role: "joining", behind: null, heard_ms: null },
  ],
};

Deno.test("coordinatorsText: a line for each, as a person reads it", () => {
  assertEquals(coordinatorsText(REPORT).split("\n"), [
    "c1  h:1  active  since 2026-01-01T00:00:00.000Z  generation 4",
    "c2  h:2  standby  heard of 1.2 s ago  2 changes behind",
    "c3  h:3  joining  not heard of",
    "",
  ]);
});

Deno.test("coordinatorsText: what is wrong, and what waits for the operator", () => {
  const waiting = {
    id: "c4",
    address: "h:4",
    role: "waiting",
    behind: null,
    heard_ms: null,
  } as const;
  const text = coordinatorsText({
    ...REPORT,
    right: false,
    coordinators: [...REPORT.coordinators, waiting],
  });
  assertStringIncludes(text, "c4  h:4  waiting\n");
  assertStringIncludes(text, "does not reach a majority");
  assertStringIncludes(text, "coordinators add");
});
