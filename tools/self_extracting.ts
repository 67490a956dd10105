/**
 * Self-extracting executables, for machines on which `deno compile` has no runtime stub to build on. Such a file
 * is a shell script followed by gzip members: the Deno binary, the program bundled into one JavaScript file,
 * and native addons. The script unpacks each member once into the user's cache folder (or, if the user has
 * none, into a folder of the user's own in the temporary folder), under a name with its hash. Then it replaces
 * itself by Deno (`exec`: the process id stays, so signals arrive). It needs a POSIX shell, head, tail, gzip,
 * and sha256sum or shasum, one of which every Linux and macOS has.
 *
 * What runs is what was packed: the folder must belong to the user and be closed to others, and each member is
 * checked by its hash at each start; a member that has been altered is unpacked again.
 *
 * Invariant: a member appears under its final name only when it is complete (unpacked beside it and renamed),
 * so simultaneous first starts, full disks and kills do no harm.
 *
 * @module
 */
import type { ProgramSpec } from "./programs.ts";

/** One file that the executable carries. */
export interface Member {
  /** Its place below the cache folder. */
  readonly path: string;
  readonly executable: boolean;
  readonly packed: Uint8Array;
  /** SHA-256 of what is unpacked, in hexadecimal digits. */
  readonly sha256: string;
}

/** Makes one executable. @param flags for the `deno` commands that are run */
export async function buildSelfExtracting(
  program: ProgramSpec,
  output: string,
  flags: readonly string[],
): Promise<void> {
  const script = await bundle(program, flags);
  const addons = program.hasAddon ? await findAddons(flags) : [];
  const home = `${program.name}-${await hashOf(script, ...addons.map((addon) => addon.bytes))}`;
  const runtime = await packedRuntime();
  const members: Member[] = [
    runtime,
    await member(`${home}/main.js`, false, script),
  ];
  for (const { path, bytes } of addons) {
    members.push(await member(`${home}/${path}`, false, bytes));
  }
  await writeExecutable(output, headerText(program, home, members), members);
}

/** A file, compressed. */
export async function member(
  path: string,
  executable: boolean,
  bytes: Uint8Array,
): Promise<Member> {
  return { path, executable, packed: await gzip(bytes), sha256: await sha256(bytes) };
}

/** The program as one module, readable, so that stack traces are too. Addons stay outside, and are looked for beside it. */
async function bundle(program: ProgramSpec, flags: readonly string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", ...flags, program.entry],
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) {
    throw new Error(`cannot bundle ${program.entry}: ${new TextDecoder().decode(stderr)}`);
  }
  // The loader of a native addon asks where its package is; in the bundle, that is here.
  const preface = new TextEncoder().encode("globalThis.__dirname=import.meta.dirname;\n");
  return join([preface, stdout]);
}

/** The prebuilt files of `classic-level` for this platform, by their paths below the package. */
async function findAddons(
  flags: readonly string[],
): Promise<{ path: string; bytes: Uint8Array }[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", ...flags, "node/main.ts"],
  }).output();
  const info: { npmPackages?: Record<string, { name: string; localPath?: string }> } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const root = Object.values(info.npmPackages ?? {})
    .find(({ name }) => name === "classic-level")?.localPath;
  if (root === undefined) throw new Error("cannot find classic-level in Deno's cache");
  const os = Deno.build.os === "windows" ? "win32" : Deno.build.os;
  const arch = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  const found: { path: string; bytes: Uint8Array }[] = [];
  for await (const folder of Deno.readDir(`${root}/prebuilds`)) {
    const [folderOs, folderArch] = folder.name.split("-");
    if (folderOs !== os || !folderArch?.split("+").includes(arch)) continue;
    for await (const file of Deno.readDir(`${root}/prebuilds/${folder.name}`)) {
      const path = `prebuilds/${folder.name}/${file.name}`;
      found.push({ path, bytes: await Deno.readFile(`${root}/${path}`) });
    }
  }
  if (found.length === 0) throw new Error(`classic-level has no addon for ${os}-${arch}`);
  return found;
}

let runtimeOnce: Promise<Member> | undefined;

/** This Deno, compressed once for all programs. */
function packedRuntime(): Promise<Member> {
  return runtimeOnce ??= (async () => {
    const bytes = await Deno.readFile(Deno.execPath());
    const path = `deno-${Deno.version.deno}-${await hashOf(bytes)}`;
    return await member(path, true, bytes);
  })();
}

/**
 * The script that precedes the members; the first member is what runs the program.
 *
 * The cache folder is a trap for services: a system's own units start without HOME, and a user without a home
 * may be root, who can create any folder. So HOME counts only if it exists already.
 *
 * @param home the program's folder below the cache folder
 */
export function headerText(
  program: ProgramSpec,
  home: string,
  members: readonly Member[],
): string {
  const runtime = members[0]?.path ?? "";
  const lines = (offset: number) => {
    let at = offset + 1;
    return members.map(({ path, executable, packed, sha256 }) => {
      const line = `unpack '${path}' ${at} ${packed.length} ${executable ? 700 : 600} ${sha256}`;
      at += packed.length;
      return line;
    });
  };
  const text = (offset: number) =>
    `#!/bin/sh
# ${program.name}: a self-extracting executable. Unpacks itself into the cache folder once.
set -eu
umask 077
cache=
if [ -n "\${XDG_CACHE_HOME:-}" ]; then cache=$XDG_CACHE_HOME/kv
elif [ -d "\${HOME:-}" ]; then cache=$HOME/.cache/kv
fi
if [ -z "$cache" ] || ! mkdir -p "$cache" 2>/dev/null || ! [ -w "$cache" ]; then
  cache=\${TMPDIR:-/tmp}/kv-$(id -u)
  mkdir -p "$cache" 2>/dev/null || { echo "${program.name}: cannot make $cache; set XDG_CACHE_HOME to a folder of yours" >&2; exit 1; }
fi
[ -O "$cache" ] && ! [ -h "$cache" ] || { echo "${program.name}: $cache belongs to another user; set XDG_CACHE_HOME to a folder of yours" >&2; exit 1; }
case $(ls -ld "$cache") in
drwx------*) ;;
*) echo "${program.name}: $cache must be closed to other users, who could alter what is run from there: remove it, or chmod 700 it if you trust what it holds" >&2; exit 1 ;;
esac
if command -v sha256sum >/dev/null 2>&1; then sum() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then sum() { shasum -a 256; }
else echo "${program.name}: needs sha256sum or shasum, to check what it runs" >&2; exit 1
fi
whole() {
  [ -f "$1" ] && ! [ -h "$1" ] && case $(sum < "$1") in "$2"*) true ;; *) false ;; esac
}
unpack() {
  whole "$cache/$1" "$5" && return
  mkdir -p "$(dirname "$cache/$1")"
  part=$cache/$1.$$
  if ! tail -c "+$2" "$self" | head -c "$3" | gzip -dc > "$part"; then
    rm -f "$part"
    echo "${program.name}: cannot unpack into $cache (disk full, or this file is damaged)" >&2
    exit 1
  fi
  whole "$part" "$5" || { rm -f "$part"; echo "${program.name}: this file is damaged; download it again" >&2; exit 1; }
  chmod "$4" "$part"
  mv -f "$part" "$cache/$1"
}
self=$0
${lines(offset).join("\n")}
export DENO_DIR="$cache/state" DENO_NO_UPDATE_CHECK=1
exec "$cache/${runtime}" run --quiet --no-config --no-lock --no-npm --no-remote --no-prompt \\
  --unstable-net ${program.permissions.map((flag) => `'${flag}'`).join(" ")} \\
  "$cache/${home}/main.js" "$@"
`;
  return withOwnLength(text);
}

/** A text that states its own length: repeated until the number of digits is stable. */
function withOwnLength(text: (length: number) => string): string {
  let length = 0;
  for (;;) {
    const attempt = text(length);
    const real = new TextEncoder().encode(attempt).length;
    if (real === length) return attempt;
    length = real;
  }
}

async function writeExecutable(
  output: string,
  header: string,
  members: readonly Member[],
): Promise<void> {
  const beside = `${output}.part`;
  const whole = join([new TextEncoder().encode(header), ...members.map(({ packed }) => packed)]);
  await Deno.writeFile(beside, whole, { mode: 0o755 });
  await Deno.rename(beside, output);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(bytes)]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** 16 hexadecimal digits that name this content. */
async function hashOf(...parts: readonly Uint8Array[]): Promise<string> {
  return (await sha256(join(parts))).slice(0, 16);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
