import { assertEquals, assertNotEquals } from "@std/assert";
import { KvError } from "../../../../../shared/base/errors.ts";
import { DAY_MS } from "../../../../../shared/base/units.ts";
import { RENEWAL_LOOK_MS_MAX } from "../../../../../shared/limits/security.ts";
import type { KeyedCertificate } from "../../../../../shared/platform/server_certificate.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../../../../../shared/security/certificate_authority.ts";
import { renewedServerCertificate } from "../../../../../shared/security/members/certificate_renewal.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOG } from "../../../../support/doubles/no_log.ts";

class Bench {
  readonly clock = new ManualClock();
  authority: KeyedCertificate | undefined;
  made = 0;
  failing = false;
  /** Resolves when the next certificate was made, or could not be. */
  #next = Promise.withResolvers<void>();

  async newAuthority(): Promise<void> {
    this.authority = await createAuthority("test", this.clock.wallMs());
  }

  start() {
    return renewedServerCertificate(this.clock, NO_LOG, {
      make: () => this.#make().finally(() => this.#next.resolve()),
      authority: () => this.authority?.certificate ?? "",
    });
  }

  async #make(): Promise<KeyedCertificate> {
    this.made++;
    if (this.failing || this.authority === undefined) {
      throw new KvError("unavailable", "the authority has ended");
    }
    const authority = await CertificateAuthority.open(this.authority);
    const { request, key } = await createRequest();
    return {
      certificate: await authority.sign(request, ["127.0.0.1"], this.clock.wallMs()),
      key,
    };
  }

  /** A look at the certificate; waits for what it begins. */
  async look(): Promise<void> {
    const before = this.made;
    this.#next = Promise.withResolvers();
    await this.clock.run(RENEWAL_LOOK_MS_MAX);
    if (this.made > before) await this.#next.promise;
    await this.clock.run(0);
  }
}

Deno.test("renewedServerCertificate: a new one when two thirds of its time have gone, and those who asked are told", async () => {
  const bench = new Bench();
  await bench.newAuthority();
  const held = await bench.start();
  let told = 0;
  held.onChange(() => told++);
  const { certificate: first } = held.current();
  bench.clock.setWall(bench.clock.wallMs() + 59 * DAY_MS);
  await bench.look();
  assertEquals([bench.made, held.current().certificate], [1, first]);
  bench.clock.setWall(bench.clock.wallMs() + 2 * DAY_MS);
  await bench.look();
  assertEquals([bench.made, told], [2, 1]);
  assertNotEquals(held.current().certificate, first);
  await bench.look();
  assertEquals(bench.made, 2);
});

Deno.test("renewedServerCertificate: a new one when another authority signs, tried again until it is there", async () => {
  const bench = new Bench();
  await bench.newAuthority();
  const held = await bench.start();
  const { certificate: first } = held.current();
  await bench.newAuthority();
  bench.failing = true;
  await bench.look();
  await bench.look();
  assertEquals([bench.made, held.current().certificate], [3, first]);
  bench.failing = false;
  await bench.look();
  assertNotEquals(held.current().certificate, first);
  await bench.look();
  assertEquals(bench.made, 4);
});
