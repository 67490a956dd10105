import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  AUTHORITY_LIFETIME_MS,
  CERTIFICATE_LIFETIME_MS,
  CERTIFICATE_REQUEST_CHARACTERS_MAX,
} from "../../../../shared/base/limits.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { fingerprintOfPem } from "../../../../shared/security/authority_fingerprint.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
  identityOf,
  readCertificate,
  renewalDueMs,
  serverName,
} from "../../../../shared/security/certificate_authority.ts";

const NOW_MS = Date.UTC(2026, 10, 29);
const NODE = { id: "00c0ffee00c0ffee", role: "node" } as const;

async function authority(nowMs = NOW_MS): Promise<CertificateAuthority> {
  return await CertificateAuthority.open(await createAuthority("kv", nowMs));
}

Deno.test("CertificateAuthority: a certificate says who it is, for 90 days, whatever the request says", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const certificate = await ca.sign(request, NODE, ["10.0.0.7", "::1", "node-7.example"], NOW_MS);
  const facts = await readCertificate(certificate);
  assertEquals(facts.identity, NODE);
  assertEquals(facts.untilMs, NOW_MS + CERTIFICATE_LIFETIME_MS);
  assert(facts.fromMs < NOW_MS);
  assertEquals(facts.fingerprint, fingerprintOfPem(certificate));
  assertEquals(facts.fingerprint.length, 64);
  const again = await readCertificate(await ca.sign(request, NODE, [], NOW_MS));
  assert(again.serial !== facts.serial, "no two certificates have one serial number");
});

Deno.test("CertificateAuthority: opened again from what was kept, it signs as before", async () => {
  const kept = await createAuthority("kv", NOW_MS);
  const ca = await CertificateAuthority.open({
    certificate: kept.certificate,
    key: new Secret(kept.key.reveal()),
  });
  assertEquals(fingerprintOfPem(ca.certificate), fingerprintOfPem(kept.certificate));
});

Deno.test("CertificateAuthority: a key that belongs to another certificate is refused, and not shown", async () => {
  const [one, other] = [await createAuthority("kv", NOW_MS), await createAuthority("kv", NOW_MS)];
  for (const key of [other.key, new Secret("-----BEGIN nonsense"), new Secret("")]) {
    const error = await assertRejects(
      () => CertificateAuthority.open({ certificate: one.certificate, key }),
      KvError,
    );
    assertEquals(error.code, "corrupt");
    if (key.reveal() !== "") {
      assert(!Deno.inspect(error).includes(key.reveal().slice(30, 60)) || key.reveal().length < 31);
    }
  }
});

Deno.test("CertificateAuthority: a request that proves no key is not signed", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const [first = "", ...rest] = request.split("\n");
  const body = rest.join("");
  const at = body.length - 60;
  const turned = body[at] === "A" ? "B" : "A";
  const forged = `${first}\n${body.slice(0, at)}${turned}${body.slice(at + 1)}`
    .replace("-----END", "\n-----END");
  const hostile = [
    "",
    "x",
    forged,
    (await createAuthority("kv", NOW_MS)).certificate,
    request + " ".repeat(CERTIFICATE_REQUEST_CHARACTERS_MAX),
  ];
  for (const bad of hostile) {
    const error = await assertRejects(() => ca.sign(bad, NODE, [], NOW_MS), KvError);
    assertEquals(error.code, "bad_request");
  }
});

Deno.test("CertificateAuthority: names that are none, and hosts that are none, are not signed", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  for (const id of ["", "a,CN=admin", "a b", "ä", "-x", "a/b", "a".repeat(64)]) {
    const error = await assertRejects(
      () => ca.sign(request, { id, role: "client" }, [], NOW_MS),
      KvError,
    );
    assertEquals(error.code, "bad_request", id);
  }
  for (const host of ["", "a b", "*", "x".repeat(254), "evil\n"]) {
    await assertRejects(() => ca.sign(request, NODE, [host], NOW_MS), KvError);
  }
});

Deno.test("CertificateAuthority: what it signs does not outlive it, and it signs nothing after its end", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const endMs = NOW_MS + AUTHORITY_LIFETIME_MS;
  const last = await readCertificate(await ca.sign(request, NODE, [], endMs - 1_000));
  assertEquals(last.untilMs, endMs);
  const error = await assertRejects(() => ca.sign(request, NODE, [], endMs), KvError);
  assertEquals(error.code, "unavailable");
});

Deno.test("identityOf: one CN and one OU that is a role, or nobody", () => {
  assertEquals(identityOf({ CN: "a", OU: "node" }), { id: "a", role: "node" });
  assertEquals(identityOf({ CN: ["a"], OU: ["client"] }), { id: "a", role: "client" });
  const nobody = [
    {},
    { CN: "a" },
    { OU: "node" },
    { CN: ["a", "b"], OU: "node" },
    { CN: "a", OU: ["client", "node"] },
    { CN: "a", OU: "authority" },
    { CN: "a", OU: "Node" },
    { CN: "", OU: "node" },
    { CN: "a\nb", OU: "node" },
  ];
  for (const subject of nobody) {
    assertEquals(assertThrows(() => identityOf(subject), KvError).code, "unauthorized");
  }
});

Deno.test("readCertificate: an authority is nobody's certificate, and garbage is none", async () => {
  const { certificate } = await createAuthority("kv", NOW_MS);
  assertEquals(
    (await assertRejects(() => readCertificate(certificate), KvError)).code,
    "unauthorized",
  );
  assertEquals((await assertRejects(() => readCertificate("x"), KvError)).code, "bad_request");
});

Deno.test("serverName: one name for each member, its role included", () => {
  assertEquals(serverName(NODE), "00c0ffee00c0ffee.node.kv.internal");
  assert(serverName(NODE) !== serverName({ id: NODE.id, role: "coordinator" }));
});

Deno.test("renewalDueMs: when two thirds of its time have gone", () => {
  assertEquals(renewalDueMs({ fromMs: 100, untilMs: 400 }), 300);
});
