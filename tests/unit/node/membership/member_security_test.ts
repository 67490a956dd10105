import { assertEquals } from "@std/assert";
import { MemberSecurity } from "../../../../node/membership/member_security.ts";
import { RENEWAL_ANSWER_MS } from "../../../../shared/limits/security.ts";
import type { MemberCredentials } from "../../../../shared/platform/member_identity.ts";
import { AccessControl } from "../../../../shared/security/access_control.ts";
import { AuditLog } from "../../../../shared/security/audit_log.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../../../../shared/security/certificate_authority.ts";
import { LoginThrottle } from "../../../../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../../../../shared/security/login/password.ts";
import {
  addCertificate,
  addUser,
  type JudgedDocument,
  judgedPart,
  newSecurityDocument,
  revokeCertificates,
} from "../../../../shared/security/security_document.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { HASH, SEAL_KEY } from "../../../support/data/security_samples.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";

/** A look at it every three seconds. */
const LIFETIME_MS = 90_000;
const HOSTS = ["10.0.0.7"];
const NODE = { id: "n1", role: "node", cluster: "c1" } as const;

/** A node that has joined, and the authority of its cluster. */
async function setUp(hosts = HOSTS) {
  const clock = new ManualClock();
  const kept = await createAuthority("kv", clock.wallMs());
  const authority = await CertificateAuthority.open(kept);
  const admin = { name: "root", passwordHash: HASH };
  const pair = { certificate: kept.certificate, key: kept.key.reveal(), sealKey: SEAL_KEY };
  const document = newSecurityDocument(pair, admin, "c1");
  const { request, key } = await createRequest();
  const certificate = await authority.signMember(
    request,
    NODE,
    HOSTS,
    clock.wallMs(),
    LIFETIME_MS,
  );
  const keptMembers: MemberCredentials[] = [];
  const keptDocuments: JudgedDocument[] = [];
  let keepSeen = () => Promise.resolve();
  const access = new AccessControl({
    clock,
    hasher: new PasswordHasher(),
    throttle: new LoginThrottle(),
    audit: new AuditLog(clock, () => {}),
  }, judgedPart(document));
  const member = new MemberSecurity(
    {
      clock,
      log: NO_LOG,
      access,
      keepMember: (credentials) => Promise.resolve(void keptMembers.push(credentials)),
      keepJudged: (judged) => Promise.resolve(void keptDocuments.push(judged)),
      seen: undefined,
      keepSeen: () => keepSeen(),
    },
    {
      credentials: { certificate, key, authorities: [kept.certificate], cluster: "c1" },
      hosts: HOSTS,
    },
    hosts,
  );
  const sent: Message<"renew_certificate">[] = [];
  member.start((message) => {
    sent.push(message);
    return true;
  });
  /** Keys are made in real time. */
  const asked = async (count: number) => {
    while (sent.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    return sent[count - 1] as Message<"renew_certificate">;
  };
  const refuseSeen = () => keepSeen = () => Promise.reject(new KvError("storage_failed", "full"));
  return {
    clock,
    authority,
    document,
    member,
    sent,
    asked,
    keptMembers,
    keptDocuments,
    refuseSeen,
  };
}

function security(document: object): Message<"security"> {
  return { req_type: "security", document };
}

Deno.test("MemberSecurity: judges by what the coordinator tells, from that moment on, and keeps it", async () => {
  const { document, member, keptDocuments } = await setUp();
  const told: number[] = [];
  member.identity.onChange(() => told.push(1));
  const withAlice = addUser(document, { name: "alice", roles: [] });
  const issued = { id: "n2", role: "node" as const, serial: "ab", madeMs: 0, untilMs: 1e15 };
  const { document: newest } = revokeCertificates(addCertificate(withAlice, issued, 0), "n2", 0);
  member.onSecurity(security(JSON.parse(JSON.stringify(newest))));
  assertEquals(member.access.document.users.map(({ name }) => name), ["root", "alice"]);
  assertEquals(member.identity.isRevoked("ab"), true);
  assertEquals(told.length > 0, true);
  assertEquals(keptDocuments, [judgedPart(newest)]);
  assertEquals("authorityKey" in member.access.document, false, "what is not for it is not kept");
  member.stop();
});

Deno.test("MemberSecurity: an older document, one of another cluster, and damage change nothing", async () => {
  const { document, member, keptDocuments } = await setUp();
  const newer = addUser(document, { name: "alice", roles: [] });
  member.onSecurity(security(newer));
  const others = [
    document,
    newer,
    { ...newer, version: 9, cluster: "c2" },
    { ...newer, version: 9, users: [] },
    { ...newer, version: 9, authorities: [] },
    {},
  ];
  for (const other of others) member.onSecurity(security(other));
  assertEquals(member.access.document, judgedPart(newer));
  assertEquals(keptDocuments.length, 1);
  member.stop();
});

Deno.test("MemberSecurity: the next certificate is used with the key that it was asked for with, and kept", async () => {
  const { clock, authority, member, asked, keptMembers } = await setUp();
  await clock.run(60_001);
  const first = await asked(1);
  await clock.run(RENEWAL_ANSWER_MS);
  const second = await asked(2);
  const before = member.identity.current();
  const sign = async (
    { id, certificate_request }: Message<"renew_certificate">,
    of: object = {},
  ) => {
    const subject = { ...NODE, ...of };
    const now = clock.wallMs();
    const certificate = await authority.signMember(certificate_request, subject, HOSTS, now);
    return { req_type: "certificate" as const, id, certificate };
  };
  // It answers nothing that was asked.
  member.onCertificate({ ...await sign(first), id: "renew-9" });
  assertEquals(member.identity.current(), before);
  // The answer to the first request comes late, when it was asked again already: it counts.
  const answer = await sign(first);
  member.onCertificate(answer);
  const { certificate, key } = member.identity.current();
  assertEquals([certificate, key === before.key], [answer.certificate, false]);
  assertEquals(keptMembers.map(({ certificate }) => certificate), [answer.certificate]);
  // What came once is not taken twice.
  member.onCertificate(await sign(second));
  assertEquals(member.identity.current().certificate, answer.certificate);
  member.stop();
});

Deno.test("MemberSecurity: a certificate that names another node is not used", async () => {
  const { clock, authority, member, asked } = await setUp(["10.0.0.8"]);
  // Its address has changed: it asks without waiting for its time.
  await clock.run(3_000);
  const { id, certificate_request } = await asked(1);
  const before = member.identity.current();
  const subject = { ...NODE, id: "n2" };
  const certificate = await authority.signMember(
    certificate_request,
    subject,
    HOSTS,
    clock.wallMs(),
  );
  member.onCertificate({ req_type: "certificate", id, certificate });
  assertEquals(member.identity.current(), before);
  member.onCertificate({ req_type: "certificate", id, certificate: "nonsense" });
  assertEquals(member.identity.current(), before);
  member.stop();
});

Deno.test("MemberSecurity.noteSeen: what was noted is shown; if the disk refuses it, the node goes on (rule C9)", async () => {
  const { member, refuseSeen } = await setUp();
  const map = { epoch: 7, generation: "g", seal: "s" };
  assertEquals(member.seen, undefined);
  await new Promise<void>((resolve) => member.noteSeen(map, resolve));
  assertEquals(member.seen, map);
  refuseSeen();
  await new Promise<void>((resolve) => member.noteSeen({ ...map, epoch: 8 }, resolve));
  assertEquals(member.seen, map, "what is not on disk is not shown");
});
