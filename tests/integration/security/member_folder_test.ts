/** What a node keeps of its membership in a secured cluster, and what it does with it at its next start. */
import { joinHint } from "../../../shared/security/members/file_join_token.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  checkMemberIs,
  type JoinOptions,
  openMemberSecurity,
} from "../../../node/file_member_security.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { CERTIFICATE_LIFETIME_MS } from "../../../shared/limits/security.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { securityFolderOf } from "../../../shared/platform/deno/folder_security.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import { fingerprintOfPem } from "../../../shared/security/authority_fingerprint.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
} from "../../../shared/security/certificate_authority.ts";
import { MemberFolder } from "../../../shared/security/members/file_member.ts";
import { judgedPart, newSecurityDocument } from "../../../shared/security/security_document.ts";
import { createToken, parseToken, tokenName } from "../../../shared/security/user_token.ts";
import { HASH, SEAL_KEY } from "../../support/data/security_samples.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";

const DEPS = { clock: new SystemClock(), random: new SystemRandom(), log: NO_LOG };
const HOSTS = ["127.0.0.1"];

/** Fails if the node would ask anybody. */
const OPTIONS: JoinOptions = {
  join: undefined,
  hosts: HOSTS,
  identity: () => Promise.resolve({ nodeId: "n1", clusterId: "c1" }),
  locate: () => Promise.reject(new KvError("unavailable", "the coordinator was looked for")),
};

async function withFolder(test: (data: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "kv-member-test-" });
  try {
    await test(`${folder}/node`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The node has joined by a token, at a moment. */
async function join(data: string, madeMs: number): Promise<string> {
  const kept = await createAuthority("kv", madeMs);
  const authority = await CertificateAuthority.open(kept);
  const { text } = createToken(
    DEPS.random,
    fingerprintOfPem(kept.certificate),
    { role: "node" },
    madeMs,
    1,
  );
  const { request, key } = await createRequest();
  const subject = { id: "n1", role: "node", cluster: "c1" } as const;
  const certificate = await authority.signMember(request, subject, HOSTS, madeMs);
  const folder = new MemberFolder(securityFolderOf(data));
  const credentials = { certificate, key, authorities: [kept.certificate], cluster: "c1" };
  const joinedBy = tokenName(parseToken(text.reveal()).secret);
  await folder.keepMember(credentials, { hosts: HOSTS, joinedBy });
  const pair = { certificate: kept.certificate, key: kept.key.reveal(), sealKey: SEAL_KEY };
  const document = newSecurityDocument(pair, { name: "root", passwordHash: HASH }, "c1");
  await folder.keepJudged(judgedPart(document));
  return text.reveal();
}

Deno.test("openMemberSecurity: a node that has joined is a member by what it has kept, and asks nobody", async () => {
  await withFolder(async (data) => {
    assertEquals(await openMemberSecurity(data, OPTIONS, DEPS), undefined);
    const token = await join(data, Date.now());
    const member = await openMemberSecurity(data, OPTIONS, DEPS);
    assert(member !== undefined);
    assertEquals([member.node, member.cluster], ["n1", "c1"]);
    assertEquals(member.access.document.users.map(({ name }) => name), ["root"]);
    checkMemberIs(member, "n1");
    const other = assertThrows(() => checkMemberIs(member, "n2"), KvError);
    assert(other.message.includes("token create --join node"), other.message);
    // The token may stay where it is: as text, in a file, and as the shell has printed it.
    const file = `${data}.token`;
    for (const text of [`${token}\n`, JSON.stringify({ token: "0", text: token })]) {
      await Deno.writeTextFile(file, text);
      assert(await openMemberSecurity(data, { ...OPTIONS, join: file }, DEPS) !== undefined);
    }
    assert(await openMemberSecurity(data, { ...OPTIONS, join: token }, DEPS) !== undefined);
    for await (const { name } of Deno.readDir(securityFolderOf(data))) {
      const { mode } = await Deno.stat(`${securityFolderOf(data)}/${name}`);
      assertEquals((mode ?? 0) & 0o077, 0, name);
    }
  });
});

Deno.test("openMemberSecurity: another token, or a folder that is another node by now, means to join", async () => {
  await withFolder(async (data) => {
    const token = await join(data, Date.now());
    const [version, fingerprint] = token.split(".");
    const another = `${version}.${fingerprint}.${"A".repeat(43)}`;
    const identity = () => Promise.resolve({ nodeId: "n2", clusterId: undefined });
    for (const options of [{ join: another }, { join: token, identity }]) {
      const error = await assertRejects(
        () => openMemberSecurity(data, { ...OPTIONS, ...options }, DEPS),
        KvError,
      );
      assertEquals(error.message, "the coordinator was looked for");
    }
  });
});

Deno.test("openMemberSecurity: a certificate that has ended, damage, and a token that is none are told", async () => {
  await withFolder(async (data) => {
    await join(data, Date.now() - CERTIFICATE_LIFETIME_MS - 1_000);
    const ended = await assertRejects(() => openMemberSecurity(data, OPTIONS, DEPS), KvError);
    assertEquals(ended.code, "bad_config");
    assert(ended.message.includes("Join again"), ended.message);
    for (const [join, code] of [["kv1.x", "bad_request"], [`${data}.none`, "bad_config"]]) {
      const error = await assertRejects(
        () => openMemberSecurity(data, { ...OPTIONS, join }, DEPS),
        KvError,
      );
      assertEquals(error.code, code);
    }
    await Deno.writeTextFile(`${securityFolderOf(data)}/member.json`, "{}");
    const damaged = await assertRejects(() => openMemberSecurity(data, OPTIONS, DEPS), KvError);
    assertEquals(damaged.code, "corrupt");
  });
});

Deno.test("joinHint: only a token in an argument can be read by others", () => {
  const token = `kv1.${"0".repeat(64)}.${"A".repeat(43)}`;
  assert(joinHint(token, "flag")?.includes("KV_JOIN"));
  assertEquals(joinHint(token, "environment"), undefined);
  assertEquals(joinHint("token.txt", "flag"), undefined);
});
