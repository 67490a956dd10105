/** `kv-client backup` and `restore` of an encrypted file, by a passphrase and by a key file. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CLIENT } from "../../../tools/programs.ts";
import { needing } from "../../support/needs.ts";
import { PSEUDO_TERMINAL, Terminal } from "../../support/terminal.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const SECRET = "a value that nobody may read";
const PASSPHRASE = "correct horse battery staple";

async function filledCluster(): Promise<TestCluster> {
  const cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, storage: "memory" });
  await using kv = await cluster.connect();
  for (let i = 0; i < 20; i++) await kv.put(`k${i}`, SECRET);
  // More than a chunk, and nothing that gzip could shorten.
  await kv.put("large", crypto.getRandomValues(new Uint8Array(60_000)));
  await kv.put("larger", crypto.getRandomValues(new Uint8Array(60_000)));
  return cluster;
}

Deno.test("backup and restore: encrypted, by passphrase and key; what is wrong writes nothing", async () => {
  await using cluster = await filledCluster();
  const at = (name: string) => `${cluster.folder}/${name}`;
  await Deno.writeTextFile(at("passphrase"), PASSPHRASE + "\n");
  await Deno.writeTextFile(at("other"), PASSPHRASE + "!\n");
  await Deno.writeTextFile(at("weak"), "short\n");
  await Deno.writeTextFile(at("key"), crypto.getRandomValues(new Uint8Array(32)).toBase64() + "\n");
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await cluster.client(...words);
    return { code, said: stdout + stderr };
  };
  const made = [
    ["backup", "p.kvb", "--encrypt", "--passphrase-file=passphrase"],
    ["backup", "k.kvb", "--key-file=key"],
    ["backup", "k.kvb", "--key-file=key", "--overwrite", "--json"],
    ["backup", "plain.kvb"],
  ];
  for (const words of made) {
    const { code, said } = await run(...words);
    assertEquals(code, 0, `${words.join(" ")}: ${said}`);
  }
  const file = await Deno.readFile(at("p.kvb"));
  assertEquals(((await Deno.stat(at("p.kvb"))).mode ?? 0) & 0o777, 0o600);
  assertEquals(new TextDecoder("latin1").decode(file).includes("cluster"), false);
  const changed = file.slice();
  const middle = Math.floor(file.length / 2);
  changed[middle] = (changed[middle] ?? 0) ^ 0x10;
  await Deno.writeFile(at("changed.kvb"), changed);
  await Deno.writeFile(at("cut.kvb"), file.slice(0, file.length - 1));
  assertEquals((await run("flush-all", "--force")).code, 0);

  const refused: [words: string[], code: number, why: string][] = [
    [["p.kvb", "--passphrase-file=other"], 1, "the passphrase is wrong"],
    [["p.kvb", "--key-file=key"], 2, "encrypted by a passphrase"],
    [["k.kvb", "--passphrase-file=passphrase"], 2, "encrypted by a key file"],
    [["p.kvb", "--passphrase-file=passphrase", "--key-file=key"], 2, "not both"],
    [["changed.kvb", "--passphrase-file=passphrase"], 1, "changed, damaged or cut off"],
    [["cut.kvb", "--passphrase-file=passphrase"], 1, "changed, damaged or cut off"],
    [["plain.kvb", "--passphrase-file=passphrase"], 2, "is not encrypted"],
    [["p.kvb", "--passphrase-file=missing"], 2, "missing"],
    [["p.kvb", "--passphrase-file=-"], 2, "empty line"],
  ];
  for (const [words, code, why] of refused) {
    const found = await run("restore", ...words);
    assertStringIncludes(found.said, why, words.join(" "));
    assertEquals(found.code, code, `${words.join(" ")}: ${found.said}`);
    assertEquals((await run("count")).said.trim(), "0", words.join(" "));
  }
  assertStringIncludes(
    (await run("backup", "w.kvb", "--passphrase-file=weak")).said,
    "12 characters",
  );

  await using kv = await cluster.connect();
  for (const words of [["p.kvb", "--passphrase-file=passphrase"], ["k.kvb", "--key-file=key"]]) {
    assertEquals((await run("restore", ...words)).code, 0);
    assertEquals(await kv.getText("k7"), SECRET);
    assertEquals((await run("count")).said.trim(), "22");
    assertEquals((await run("flush-all", "--force")).code, 0);
  }
});

Deno.test({
  ...needing(
    "backup --encrypt and restore: ask for the passphrase without showing it",
    PSEUDO_TERMINAL,
  ),
  fn: async () => {
    await using cluster = await filledCluster();
    const { port } = cluster.coordinatorAddress;
    const client = (...words: string[]) =>
      new Terminal([
        Deno.execPath(),
        "run",
        "--quiet",
        "--no-prompt",
        ...CLIENT.permissions,
        new URL(`../../../${CLIENT.entry}`, import.meta.url).pathname,
        `--coordinator=127.0.0.1:${port}`,
        ...words,
      ], { cwd: cluster.folder });
    {
      await using terminal = client("backup", "p.kvb", "--encrypt");
      let at = await terminal.until(/New passphrase: /);
      await terminal.type(`${PASSPHRASE}\r`);
      at = await terminal.until(/The same again: /, at);
      await terminal.type(`${PASSPHRASE}\r`);
      assertEquals(await terminal.ended(), 0, terminal.output);
      assertEquals(terminal.output.includes("horse"), false, terminal.output);
    }
    await using terminal = client("restore", "p.kvb", "--into-living");
    const at = await terminal.until(/Passphrase: /);
    await terminal.type(`${PASSPHRASE}\r`);
    await terminal.until(/restore: 22 keys/, at);
    assertEquals(await terminal.ended(), 0);
    assert(!terminal.output.includes("horse"), terminal.output);
  },
});
