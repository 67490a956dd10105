/**
 * `kv-client login` and passwords at a pseudo-terminal: nothing secret is shown, and the terminal is as it was before,
 * however it ends.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fingerprintOfPem } from "../../../shared/security/authority_fingerprint.ts";
import { needing } from "../../support/needs.ts";
import { PSEUDO_TERMINAL, Terminal } from "../../support/terminal.ts";
import { SecuredNode } from "../../support/worlds/secured_node.ts";

const quoted = (words: readonly string[]) =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");

/** A client at a terminal, and what `stty` says of the terminal before and after it. */
function attended(node: SecuredNode, ...words: string[]): Terminal {
  const line = `sh -c 'echo "pid $$."; exec "$@"' sh ${quoted([...node.clientLine, ...words])}`;
  // The shell survives the Ctrl-C that ends the client.
  const script = `trap : INT; echo "before $(stty -g)."; ${line}; ` +
    `echo "code $?"; echo "after $(stty -g)."`;
  return new Terminal(["sh", "-c", script], node.clientOptions);
}

async function assertRestored(terminal: Terminal): Promise<void> {
  await terminal.ended();
  const state = (when: string) => new RegExp(`${when} ([0-9a-f:]+)\\.`).exec(terminal.output)?.[1];
  assert(state("before") !== undefined);
  assertEquals(state("after"), state("before"), terminal.output);
}

Deno.test({
  ...needing("kv-client login: asks for the password without showing it", PSEUDO_TERMINAL),
  fn: async () => {
    await using node = await SecuredNode.make();
    await node.start();
    const { ca, user, password } = await node.admin();
    const address = `127.0.0.1:${node.port}`;
    {
      await using terminal = attended(node, "login", address);
      let at = await terminal.until(/Is it the right one\? \(yes\/no\) /);
      assertStringIncludes(terminal.output, fingerprintOfPem(ca));
      await terminal.type("yes\r");
      at = await terminal.until(/User: /, at);
      await terminal.type(`${user}\r`);
      at = await terminal.until(/Password: /, at);
      await terminal.type(`${password}\r`);
      at = await terminal.until(/logged in at .* as admin/, at);
      await assertRestored(terminal);
      assertStringIncludes(terminal.output, "code 0");
      assertEquals(terminal.output.includes(password), false, terminal.output);
    }
    const file = `${node.folder}/config/kv/credentials.json`;
    assertEquals(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
    assertEquals(((await Deno.stat(`${node.folder}/config/kv`)).mode ?? 0) & 0o777, 0o700);

    // From now on, without a word about it; and at the same address, given in full.
    assertEquals((await node.client("put", "k", "v")).error, "");
    assertEquals((await node.client("get", "k")).out, "v");
    assertEquals((await node.client(`--coordinator=${address}`, "get", "k")).out, "v");
    // Another address hears nothing of it, and what was named counts instead.
    const elsewhere = await node.client(
      "--coordinator=127.0.0.1:1",
      "--timeout-ms=300",
      "get",
      "k",
    );
    assertEquals(elsewhere.code, 4);
    assertStringIncludes(elsewhere.error, `${file} is for ${address} only`);
    await Deno.writeTextFile(`${node.folder}/none.json`, "{}", { mode: 0o600 });
    assert((await node.client("--credentials=none.json", "get", "k")).code !== 0);

    assertStringIncludes((await node.client("logout")).out, "logged out");
    assert((await node.client("--timeout-ms=300", "get", "k")).code !== 0);
  },
});

Deno.test({
  ...needing("kv-client login: Ctrl-C and signals leave the terminal as it was", PSEUDO_TERMINAL),
  fn: async () => {
    await using node = await SecuredNode.make();
    await node.start();
    const words = [
      "login",
      `127.0.0.1:${node.port}`,
      `--ca=${node.security}/ca.crt`,
      "--user=admin",
    ];
    {
      await using terminal = attended(node, ...words);
      await terminal.until(/Password: /);
      await terminal.type("half a pass\x03");
      await assertRestored(terminal);
      assertStringIncludes(terminal.output, "code 130");
      assertEquals(terminal.output.includes("half"), false, terminal.output);
    }
    {
      await using terminal = attended(node, ...words);
      await terminal.until(/Password: /);
      await terminal.type("\x04");
      await assertRestored(terminal);
      assertMatch(terminal.output, /nothing was given[^]*code 2/);
    }
    {
      await using terminal = attended(node, ...words);
      await terminal.until(/Password: /);
      Deno.kill(Number(/pid (\d+)\./.exec(terminal.output)?.[1]), "SIGTERM");
      await assertRestored(terminal);
      assertStringIncludes(terminal.output, "code 143");
    }
    assertEquals(await Deno.stat(`${node.folder}/config`).catch(() => "none"), "none");
  },
});

Deno.test({
  ...needing(
    "kv-client shell: a new password is neither shown nor in the history",
    PSEUDO_TERMINAL,
  ),
  fn: async () => {
    await using node = await SecuredNode.make();
    await node.start();
    const history = `${node.folder}/history`;
    await using terminal = attended(
      node,
      `--coordinator=127.0.0.1:${node.port}`,
      `--credentials=${node.security}/admin.json`,
      `--history-file=${history}`,
    );
    let at = await terminal.until(/kv> /);
    await terminal.type("user add alice\r");
    at = await terminal.until(/New password: /, at);
    await terminal.type("correct horsf\x7fe\r");
    at = await terminal.until(/The same again: /, at);
    await terminal.type("correct horse\r");
    at = await terminal.until(/added user alice[^]*kv> /, at);
    // Ctrl-C ends the question, and the shell goes on.
    await terminal.type("user passwd alice\r");
    at = await terminal.until(/New password: /, at);
    await terminal.type("battery\x03");
    at = await terminal.until(/nothing was given[^]*kv> /, at);
    // The keys are the editor's again: what is typed is shown, and completed.
    await terminal.type("pu");
    await terminal.type("t k v\r");
    at = await terminal.until(/put k v[^]*kv> /, at);
    await terminal.type("exit\r");
    await assertRestored(terminal);
    for (const secret of ["horse", "horsf", "battery"]) {
      assertEquals(terminal.output.includes(secret), false, terminal.output);
      assertEquals((await Deno.readTextFile(history)).includes(secret), false);
    }
    const alice = `${node.folder}/alice.json`;
    const { ca } = await node.admin();
    const login = { ca, user: "alice", password: "correct horse" };
    await Deno.writeTextFile(alice, JSON.stringify(login), { mode: 0o600 });
    assertStringIncludes((await node.shell(alice, "get", "k")).error, "forbidden");
  },
});

Deno.test("kv-client login: without a terminal, by fingerprint, certificate or token; another authority gets nothing", async () => {
  await using node = await SecuredNode.make();
  await node.start();
  const { ca, password } = await node.admin();
  const address = `127.0.0.1:${node.port}`;
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${node.folder}/${name}`, text, { mode: 0o600 });
  await write("password", password + "\n");
  const made = await node.shell(`${node.security}/admin.json`, "token", "create", "--user=admin");
  const token = made.out.trim();
  await write("token", token + "\n");
  const asAdmin = ["login", address, "--user=admin", "--password-file=password"];
  const ways = [
    [...asAdmin, `--fingerprint=${fingerprintOfPem(ca)}`],
    [...asAdmin, `--ca=${node.security}/ca.crt`],
    ["login", address, "--token-file=token"],
  ];
  for (const words of ways) {
    assertEquals((await node.client(...words)).error, "", words.join(" "));
    assertEquals((await node.client("put", "k", "v")).error, "", words.join(" "));
    assertEquals((await node.client("logout")).code, 0);
  }
  const wrong = `kv1.${"0".repeat(64)}.${token.split(".")[2]}`;
  await write("wrong", wrong);
  await write("wrong password", "not the password");
  await using other = await SecuredNode.make();
  await other.start();
  const refused: [words: string[], why: string][] = [
    [[...asAdmin, `--fingerprint=${"0".repeat(64)}`], "is not the one with the fingerprint"],
    [["login", address, "--token-file=wrong"], "is not the one with the fingerprint"],
    [[...asAdmin, `--ca=${other.security}/ca.crt`], "certificate"],
    [asAdmin, "the cluster's authority is not known here"],
    [
      [
        "login",
        address,
        "--user=admin",
        "--password-file=wrong password",
        `--ca=${node.security}/ca.crt`,
      ],
      "unauthorized",
    ],
    [["login", `127.0.0.1:${node.httpPort}`, "--token-file=token"], "login: "],
    [["login", "127.0.0.1:1", "--token-file=token"], "login: no answer from 127.0.0.1:1"],
  ];
  for (const [words, why] of refused) {
    const { code, error } = await node.client("--timeout-ms=3000", ...words);
    assert(code !== 0, words.join(" "));
    assertStringIncludes(error, why);
    assertEquals(error.includes(password) || error.includes(token), false, error);
  }
  assertEquals(
    await Deno.stat(`${node.folder}/config/kv/credentials.json`).catch(() => "none"),
    "none",
  );
});
