/**
 * Loaded before a program (`deno run --preload`): at SIGUSR2 it tries from inside what the program must not be able
 * to do, and writes to standard error what it could, as `probe {"read":…}`.
 */

/** What is tried, and how it ended: "done", or the error's name. */
export type Probed = Record<string, string>;

const ATTEMPTS: Record<string, () => unknown> = {
  "read /etc/passwd": () => Deno.readTextFileSync("/etc/passwd"),
  "read the working folder": () => [...Deno.readDirSync(".")],
  "write the working folder": () => Deno.writeTextFileSync("probe.txt", ""),
  "write the temporary folder": () => Deno.makeTempFileSync(),
  "read cs_config.txt": () => Deno.readTextFileSync("cs_config.txt"),
  "count descriptors": () => Deno.openSync("/dev/null").close(),
  "load native code": () => Deno.dlopen("libc.so.6", {}).close(),
  "run a program": () => new Deno.Command("true").outputSync(),
  "read the environment": () => Deno.env.get("KV_LOG_LEVEL"),
};

function probe(): void {
  const probed: Probed = {};
  for (const [what, attempt] of Object.entries(ATTEMPTS)) {
    try {
      attempt();
      probed[what] = "done";
    } catch (error) {
      probed[what] = error instanceof Error ? error.name : String(error);
    }
  }
  console.error(`probe ${JSON.stringify(probed)}`);
}

Deno.addSignalListener("SIGUSR2", probe);
