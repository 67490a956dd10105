import "reflect-metadata";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { X509Certificate as NodeX509 } from "node:crypto";
import { SubjectAlternativeNameExtension, X509Certificate } from "@peculiar/x509";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  AUTHORITY_LIFETIME_MS,
  CERTIFICATE_LIFETIME_MS,
  CERTIFICATE_REQUEST_CHARACTERS_MAX,
} from "../../../../shared/limits/security.ts";
import { Secret } from "../../../../shared/base/secret.ts";
import { fingerprintOfPem } from "../../../../shared/security/authority_fingerprint.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
  readMemberCertificate,
} from "../../../../shared/security/certificate_authority.ts";

const NOW_MS = Date.UTC(2026, 10, 29);

async function authority(nowMs = NOW_MS): Promise<CertificateAuthority> {
  return await CertificateAuthority.open(await createAuthority("kv", nowMs));
}

Deno.test("CertificateAuthority: a certificate says where its server is, for 90 days, whatever the request says", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const certificate = await ca.sign(request, ["10.0.0.7", "::1", "node-7.example"], NOW_MS);
  const facts = new X509Certificate(certificate);
  const names = facts.getExtension(SubjectAlternativeNameExtension)?.names.toJSON();
  assertEquals(names, [
    { type: "ip", value: "10.0.0.7" },
    { type: "ip", value: "::1" },
    { type: "dns", value: "node-7.example" },
  ]);
  assertEquals(facts.notAfter.getTime(), NOW_MS + CERTIFICATE_LIFETIME_MS);
  assert(facts.notBefore.getTime() < NOW_MS);
  assertEquals(
    fingerprintOfPem(certificate),
    Buffer.from(await facts.getThumbprint("SHA-256", crypto)).toString("hex"),
  );
  const again = new X509Certificate(await ca.sign(request, [], NOW_MS));
  assert(again.serialNumber !== facts.serialNumber, "no two certificates have one serial number");
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
    const error = await assertRejects(() => ca.sign(bad, [], NOW_MS), KvError);
    assertEquals(error.code, "bad_request");
  }
});

Deno.test("CertificateAuthority: a member's certificate names it, its role and its cluster, by the caller's word", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const subject = { id: "N-1.a", role: "node", cluster: "c1" } as const;
  const certificate = await ca.signMember(request, subject, ["10.0.0.7"], NOW_MS);
  const read = readMemberCertificate(certificate);
  assertEquals(read.subject, subject);
  assertEquals(read.untilMs, NOW_MS + CERTIFICATE_LIFETIME_MS);
  const names = new X509Certificate(certificate).getExtension(SubjectAlternativeNameExtension)
    ?.names.toJSON().map(({ value }) => value);
  assertEquals(names, ["n-1.a.node.kv.internal", "node.kv.internal", "10.0.0.7"]);
  for (const id of ["", "a,OU=coordinator", "x".repeat(64), "a b", "*"]) {
    const refused = [{ ...subject, id }, { ...subject, cluster: id }];
    for (const member of refused) {
      const error = await assertRejects(
        () => ca.signMember(request, member, [], NOW_MS),
        KvError,
      );
      assertEquals(error.code, "bad_request");
    }
  }
});

Deno.test("readMemberCertificate: what names no member is refused", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  for (const certificate of [ca.certificate, await ca.sign(request, ["::1"], NOW_MS)]) {
    assertEquals(
      assertThrows(() => readMemberCertificate(certificate), KvError).code,
      "unauthorized",
    );
  }
  assertEquals(assertThrows(() => readMemberCertificate("x"), KvError).code, "bad_request");
});

Deno.test("CertificateAuthority: hosts that are none are not signed", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  for (const host of ["", "a b", "*", "x".repeat(254), "evil\n"]) {
    await assertRejects(() => ca.sign(request, [host], NOW_MS), KvError);
  }
});

Deno.test("CertificateAuthority: what it signs does not outlive it, and it signs nothing after its end", async () => {
  const ca = await authority();
  const { request } = await createRequest();
  const endMs = NOW_MS + AUTHORITY_LIFETIME_MS;
  const last = new X509Certificate(await ca.sign(request, [], endMs - 1_000));
  assertEquals(last.notAfter.getTime(), endMs);
  const error = await assertRejects(() => ca.sign(request, [], endMs), KvError);
  assertEquals(error.code, "unavailable");
});

Deno.test("CertificateAuthority: a bridge leads who trusts the former authority to the next one, and no further", async () => {
  const kept = await createAuthority("kv", NOW_MS - 1_000);
  const former = await CertificateAuthority.open(kept);
  const next = await authority();
  const bridge = new NodeX509(await former.bridgeTo(next.certificate, NOW_MS));
  const { request } = await createRequest();
  const subject = { id: "n1", role: "node", cluster: "c1" } as const;
  const text = await next.signMember(request, subject, [], NOW_MS);
  const leaf = new NodeX509(text);
  assert(leaf.verify(bridge.publicKey) && leaf.checkIssued(bridge));
  assert(bridge.verify(new NodeX509(former.certificate).publicKey));
  assertEquals(leaf.verify(new NodeX509(former.certificate).publicKey), false);
  const chain = `${text}\n${bridge.toString()}`;
  assertEquals(readMemberCertificate(chain).subject, subject, "the first one of a chain counts");
  await assertRejects(() => former.bridgeTo("nonsense", NOW_MS), KvError);
});
