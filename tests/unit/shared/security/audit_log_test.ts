import { assertEquals } from "@std/assert";
import { AuditLog } from "../../../../shared/security/audit_log.ts";

Deno.test("AuditLog: one JSON object a line, bounded, whatever names are in it", () => {
  const lines: string[] = [];
  const log = new AuditLog({ wallMs: () => Date.UTC(2026, 10, 29) }, (line) => lines.push(line));
  log.note({ event: "login", front_end: "resp" }, { user: "alice", from: "10.0.0.1:5" });
  log.note({ event: "login_failed", front_end: "http" }, { user: 'a\n{}"b', from: "10.0.0.1:5" });
  log.note({ event: "refused", what: "x".repeat(9_000), code: "forbidden" }, {
    user: undefined,
    from: "[::1]:5",
  });
  assertEquals(lines.every((line) => line.indexOf("\n") === line.length - 1), true);
  assertEquals(JSON.parse(lines[0] ?? ""), {
    time: "2026-11-29T00:00:00.000Z",
    user: "alice",
    from: "10.0.0.1:5",
    event: "login",
    front_end: "resp",
  });
  assertEquals(JSON.parse(lines[1] ?? "").user, 'a\n{}"b');
  assertEquals((lines[2] ?? "").length < 500, true);
});
