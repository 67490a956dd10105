/**
 * `kv-client`: reads the command line, connects, runs one command, a script or the shell, and exits.
 *
 * @module
 */
import { SystemClock } from "../shared/platform/clock.ts";
import {
  type CoordinatorAddress,
  findCoordinator,
  parseAddress,
} from "../shared/discovery/coordinator_address.ts";
import { formatAddress } from "../shared/platform/transport.ts";
import { KvError, toKvError } from "../shared/base/errors.ts";
import { type Run, runProgram } from "../shared/program/program.ts";
import { SystemRandom } from "../shared/platform/random.ts";
import { printError, printLine } from "../shared/program/terminal.ts";
import { VERSION } from "../shared/base/version.ts";
import { DenoLogins } from "./cli/deno_logins.ts";
import { loginFile, readCredentials, readCredentialsIfThere } from "./cli/file_credentials.ts";
import { connectTo, discoverFromHere } from "./library/connect.ts";
import { clientPlatform } from "./library/current_platform.ts";
import { denoIo, inputLines, loadHistory, saveHistory } from "./cli/deno_io.ts";
import { EXIT, exitCodeOf } from "./cli/command/exit_code.ts";
import type { KvClient } from "./library/kv_client.ts";
import { refuseLostBytes } from "./cli/command/lost_bytes.ts";
import { errorDocument, errorLine } from "./cli/command/output.ts";
import { Session } from "./cli/session.ts";
import { CLIENT_PROGRAM, CLIENT_SETTINGS } from "./cli/settings.ts";
import { runScript, runShell } from "./cli/shell.ts";

/** Between two checks whether the parent process is there. */
const PARENT_POLL_MS = 500;

if (import.meta.main) await runProgram(CLIENT_PROGRAM, main);

type ClientRun = Run<typeof CLIENT_SETTINGS>;

async function main(run: ClientRun): Promise<number> {
  const { config, rest } = run;
  try {
    refuseLostBytes(Deno.args);
    return await runClient(run);
  } catch (thrown) {
    // The reader of our output has ended, as `head` does: there is nothing left to say, and nobody to read it.
    if (thrown instanceof Deno.errors.BrokenPipe) return EXIT.error;
    const error = toKvError(thrown);
    if (error.code === "internal") throw thrown;
    const command = rest[0] === undefined ? "" : ` ${rest[0]}`;
    if (config.json) printLine(JSON.stringify(errorDocument(error)));
    else printError(`kv-client${command}: ${errorLine(error)}`);
    return exitCodeOf(error.code);
  }
}

async function runClient(run: ClientRun): Promise<number> {
  const { config, rest, restFlags } = run;
  const [name] = rest;
  if (name !== undefined && config.command !== undefined) {
    const text = `give a command as arguments or with --command, not both: ${JSON.stringify(name)}`;
    throw new KvError("bad_config", text);
  }
  const [flag] = restFlags.keys();
  if (name === undefined && flag !== undefined) {
    throw new KvError("bad_config", `--${flag} is an option of a command, and there is none`);
  }
  const isScript = name === undefined && config.command === undefined;
  const io = denoIo(isScript);
  let connecting: Promise<KvClient> | undefined;
  const client = () => connecting ??= connectAs(run);
  const { timeoutMs, clusterName } = config;
  const { environment } = await clientPlatform();
  const logins = new DenoLogins({
    file: config.credentials ?? loginFile(environment),
    timeoutMs,
    clusterName,
    find: () => findFor(run, undefined),
  });
  const session = new Session({
    client,
    logins,
    io,
    clock: new SystemClock(),
    random: new SystemRandom(),
    options: CLIENT_SETTINGS,
    settings: config,
  });
  try {
    // Ctrl-C ends a one-shot command together with its process.
    const never = new AbortController().signal;
    if (!isScript) {
      const { exitCode } = config.command === undefined
        ? await session.runWords(rest, never, restFlags)
        : await session.runLine(config.command, never);
      return exitCode === EXIT.ok ? await session.end() : exitCode;
    }
    // A script that cannot connect fails once, and not on every line.
    const { settings, nodes } = await (await client()).clusterMap();
    if (!Deno.stdin.isTerminal()) return await runScript(inputLines(), session, io);
    await io.write(
      `kv-client ${VERSION}, cluster ${settings.clusterName} with ${nodes.length} ` +
        `node${nodes.length === 1 ? "" : "s"}. "help" lists the commands, "exit" leaves.\n`,
    );
    const { historyFile } = config;
    const history = { lines: historyFile === undefined ? [] : await loadHistory(historyFile) };
    const exitCode = await runShell(session, io, history, untilParentEnds());
    if (historyFile !== undefined) await saveHistory(historyFile, history.lines);
    return exitCode;
  } finally {
    // If connecting failed, that has been reported.
    await connecting?.then((opened) => opened.close(), () => {});
  }
}

/** Nobody sits at this shell any more; the terminal has another reader by then. */
function untilParentEnds(): Promise<void> {
  const parent = Deno.ppid;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (Deno.ppid === parent) return;
      clearInterval(timer);
      resolve();
    }, PARENT_POLL_MS);
    Deno.unrefTimer(timer);
  });
}

/**
 * @param loggedIn where the login was made that is kept for this user
 * @param ca the authority of the cluster that is looked for, if it is known
 */
async function findFor(
  { config, sources }: ClientRun,
  loggedIn: string | undefined,
  ca?: string,
): Promise<CoordinatorAddress> {
  const source = sources.coordinator;
  const named = (where: typeof source) => source === where ? config.coordinator : undefined;
  const { readTextFileIfThere } = await clientPlatform();
  return await findCoordinator({
    flag: named("flag"),
    environment: named("environment"),
    configFile: named("file"),
    readTextFile: readTextFileIfThere,
    login: loggedIn,
    discover: () =>
      discoverFromHere({
        mode: config.discovery,
        port: config.discoveryPort,
        secret: config.discoverySecret,
        name: config.clusterName,
      }, ca),
  });
}

async function connectAs(run: ClientRun): Promise<KvClient> {
  const { config } = run;
  const { environment } = await clientPlatform();
  const named = config.credentials;
  const file = named ?? loginFile(environment);
  const kept = named !== undefined
    ? await readCredentials(named)
    : file === undefined
    ? undefined
    : await readCredentialsIfThere(file);
  const { addresses = [], ...credentials } = kept ?? {};
  const found = await findFor(run, addresses[0], named === undefined ? undefined : kept?.ca);
  const seeds = config.seeds.map((seed) => parseAddress(seed, "--seeds"));
  // A login that nobody has named counts for its own cluster; others hear nothing of it.
  const isFor = named !== undefined || addresses.includes(formatAddress(found.address));
  const defaults = {
    ...(isFor ? credentials : {}),
    database: config.database,
    timeoutMs: config.timeoutMs,
    consistency: config.consistency,
    acks: config.acks,
  };
  const elsewhere = !isFor && addresses.length > 0
    ? `; the login of ${file} is for ${addresses.join(", ")} only`
    : "";
  return await connectTo(found, seeds, defaults, {
    name: config.clusterName,
    advice: "start one, or say where it is with --coordinator HOST:PORT; the address of any node " +
      `that runs works as well (--seeds HOST:PORT)${elsewhere}`,
  });
}
