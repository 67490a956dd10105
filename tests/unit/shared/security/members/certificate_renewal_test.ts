import { assertEquals } from "@std/assert";
import {
  CERTIFICATE_BACKDATING_MS,
  CERTIFICATE_LIFETIME_MS,
  RENEWAL_LOOK_MS_MAX,
} from "../../../../../shared/limits/security.ts";
import type { MemberCertificate } from "../../../../../shared/security/certificate_authority.ts";
import {
  CertificateRenewal,
  renewalDueMs,
} from "../../../../../shared/security/members/certificate_renewal.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

/** As it is signed at a moment. */
function signedAt(madeMs: number, lifetimeMs = CERTIFICATE_LIFETIME_MS): MemberCertificate {
  return {
    subject: { id: "n1", role: "node", cluster: "c1" },
    serial: "1",
    fromMs: madeMs - CERTIFICATE_BACKDATING_MS,
    untilMs: madeMs + lifetimeMs,
  };
}

Deno.test("renewalDueMs: after two thirds of its time, however long that is", () => {
  for (const lifetimeMs of [5_000, 60_000, CERTIFICATE_LIFETIME_MS]) {
    assertEquals(
      renewalDueMs(signedAt(1_000_000, lifetimeMs)),
      1_000_000 + Math.ceil(lifetimeMs * 2 / 3),
    );
  }
});

Deno.test("CertificateRenewal: asks from two thirds on, again and again, until there is another one", async () => {
  const clock = new ManualClock();
  const lifetimeMs = 90 * RENEWAL_LOOK_MS_MAX;
  let certificate = signedAt(clock.wallMs(), lifetimeMs);
  let isCurrent = true;
  let asked = 0;
  const renewal = new CertificateRenewal(clock, {
    certificate: () => certificate,
    isCurrent: () => isCurrent,
    renew: () => asked++,
  });
  await clock.run(lifetimeMs * 2 / 3 - 1);
  assertEquals(asked, 0);
  await clock.run(3 * RENEWAL_LOOK_MS_MAX);
  assertEquals(asked, 3);
  certificate = signedAt(clock.wallMs(), lifetimeMs);
  await clock.run(10 * RENEWAL_LOOK_MS_MAX);
  assertEquals(asked, 3);
  // Another authority signs: at once, and not only when its time comes.
  isCurrent = false;
  renewal.look();
  assertEquals(asked, 4);
  renewal.stop();
  renewal.look();
  await clock.run(lifetimeMs);
  assertEquals(asked, 4);
});
