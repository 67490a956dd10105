/**
 * A project of somebody who installs npm's package of the client library: the tarball that `deno task pack` makes,
 * installed by npm without a network, TypeScript in strict mode, and the runtimes of this machine.
 *
 * @module
 */
import { hasProgram, type Need } from "../needs.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const decoder = new TextDecoder();

/** How a runtime runs a file of JavaScript. */
export interface Runtime {
  readonly name: "node" | "bun" | "deno";
  readonly command: readonly string[];
  readonly need: Need;
}

const BUN = Deno.env.get("KV_BUN") ?? "bun";
const NPM: Need = { met: hasProgram("npm", "--version"), otherwise: "no npm" };

/** All of them; a test says which of them it needs. */
export const RUNTIMES: readonly Runtime[] = [
  {
    name: "node",
    command: ["node"],
    need: { met: hasProgram("node", "--version"), otherwise: "no node" },
  },
  {
    name: "bun",
    command: [BUN],
    need: {
      met: hasProgram(BUN, "--version"),
      otherwise: "no bun on the PATH or in KV_BUN (npm's @oven/bun-linux-x64 has one)",
    },
  },
  {
    name: "deno",
    command: [Deno.execPath(), "run", "--quiet", "--node-modules-dir=manual", "--allow-all"],
    need: { met: true, otherwise: "" },
  },
];

/** What makes the package and installs it. */
export const PACKAGING: Need = NPM;

const TSCONFIG = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    skipLibCheck: false,
    // For the links to the types of Node.
    preserveSymlinks: true,
    module: "nodenext",
    target: "es2022",
    // For the programs' own `await using`.
    lib: ["es2022", "esnext.disposable"],
    types: ["node"],
    outDir: "out",
  },
  include: ["*.ts"],
};

/** The project. */
export class PackageProject implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Packs and installs. */
  static async make(): Promise<PackageProject> {
    const project = new PackageProject(await Deno.makeTempDir({ prefix: "kv-package-test-" }));
    const { folder } = project;
    const packages = `${folder}/packages`;
    await project.#do(["deno", "task", "--quiet", "pack", "--out", packages], ROOT);
    const tarball = [...Deno.readDirSync(packages)].find(({ name }) => name.endsWith(".tgz"));
    const manifest = { name: "app", version: "1.0.0", private: true, type: "module" };
    await project.write("package.json", JSON.stringify(manifest));
    await project.#do(
      ["npm", "install", "--offline", "--silent", `./packages/${tarball?.name}`],
      folder,
    );
    return project;
  }

  /** Puts a file into it. */
  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/${name}`, text);
  }

  /** Compiles all of its files in strict mode into `out`. @throws {Error} with what the compiler says */
  async compile(): Promise<void> {
    await this.write("tsconfig.json", JSON.stringify(TSCONFIG));
    await this.#linkNodeTypes();
    await this.#do(
      [
        ...["deno", "run", "--quiet", "--allow-all", `--config=${ROOT}deno.json`],
        ...["npm:typescript@6.0.3/tsc", "--project", "."],
      ],
      this.folder,
    );
  }

  /** Runs a file. */
  spawn(runtime: Runtime, file: string, ...args: string[]): Deno.ChildProcess {
    const [program = "", ...flags] = runtime.command;
    return new Deno.Command(program, {
      args: [...flags, file, ...args],
      cwd: this.folder,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  }

  /** The types of Node's modules, from Deno's cache. */
  async #linkNodeTypes(): Promise<void> {
    const info: { npmPackages: Record<string, { name: string; localPath: string }> } = JSON.parse(
      await this.#do(["deno", "info", "--json", "npm:@types/node@20.19.25"], ROOT),
    );
    await Deno.mkdir(`${this.folder}/node_modules/@types`, { recursive: true });
    for (const { name, localPath } of Object.values(info.npmPackages)) {
      if (name !== "@types/node" && name !== "undici-types") continue;
      await Deno.symlink(localPath, `${this.folder}/node_modules/${name}`);
    }
  }

  async #do([program = "", ...args]: readonly string[], cwd: string): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command(
      program === "deno" ? Deno.execPath() : program,
      { args, cwd, env: { NO_COLOR: "1" }, stdin: "null" },
    ).output();
    const [out, errors] = [stdout, stderr].map((bytes) => decoder.decode(bytes));
    if (!success) throw new Error(`${program} ${args.join(" ")} failed: ${errors}${out}`);
    return out ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
