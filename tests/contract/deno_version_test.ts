import { assertEquals } from "@std/assert";
import { DENO_RANGE, isSupported } from "../../tools/deno_version.ts";

const ROOT = new URL("../../", import.meta.url);

function* documents(): Generator<string> {
  yield* ["README.md", "CONTRIBUTING.md", ".ci/run", "deno.json"];
  for (const folder of ["docs", "docs/decisions"]) {
    for (const { name } of Deno.readDirSync(new URL(folder, ROOT))) {
      if (name.endsWith(".md")) yield `${folder}/${name}`;
    }
  }
}

Deno.test("DENO_RANGE: whoever reads how to start the project gets the version that it is for", () => {
  let count = 0;
  for (const path of documents()) {
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    const commands = text.matchAll(/\bnpx (?:-y |--yes )*(deno\S*)|npm install -g (deno[^\s`)]*)/g);
    for (const [command, byNpx, installed] of commands) {
      const named = (byNpx ?? installed ?? "").replace(/[`,.]+$/, "");
      assertEquals(named, `deno@${DENO_RANGE}`, `${path}: ${command}`);
      count++;
    }
  }
  assertEquals(count > 10, true, `${count} commands`);
  assertEquals(isSupported(Deno.version.deno), true);
  assertEquals(["2.4.2", "2.9.0", "2.10.1", "3.0.0"].map(isSupported), [false, true, true, true]);
});
