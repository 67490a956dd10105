/**
 * Opens the register in etcd that a coordinator is told to keep its document in.
 *
 * @module
 */
import { failureOf, KvError } from "../shared/base/errors.ts";
import { Secret } from "../shared/base/secret.ts";
import type { Clock } from "../shared/platform/clock.ts";
import { readTextFileIfThere } from "../shared/platform/deno/file_text.ts";
import type { Logger } from "../shared/platform/logger.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import type { RegisterService } from "./coordinator_options.ts";
import { DenoEtcd } from "./register/etcd/deno_etcd.ts";
import { readOrBegin } from "./register/etcd/etcd_document.ts";
import { EtcdRegister } from "./register/etcd/etcd_register.ts";
import { parseEtcdAddress } from "./register/etcd/etcd_url.ts";
import { clusterSettings, type WantedSettings } from "./state/cluster_settings.ts";
import { type ClusterDocument, parseClusterDocument } from "./state/cluster_document.ts";
import { newCluster } from "./state/stored_cluster.ts";

/** How etcd is reached; see the settings of these names. */
export interface EtcdSettings {
  readonly register: string;
  readonly registerCa: string | undefined;
  readonly registerUser: string | undefined;
  readonly registerPasswordFile: string | undefined;
  readonly registerCert: string | undefined;
  readonly registerKey: string | undefined;
}

/**
 * Reads the document, or begins a cluster.
 *
 * @param wanted the settings of a cluster that is new
 * @throws {KvError} `bad_config`, `unavailable` (no etcd answers), `unauthorized`, `forbidden`, `corrupt`
 */
export async function openRegisterService(
  settings: EtcdSettings,
  wanted: WantedSettings,
  deps: { readonly clock: Clock; readonly random: Random; readonly log: Logger },
): Promise<RegisterService & { close(): void }> {
  const { endpoints, prefix } = parseEtcdAddress(settings.register);
  const { registerUser: user, registerPasswordFile, registerCert, registerKey } = settings;
  const gateway = new DenoEtcd({
    endpoints,
    authority: await fileOf(settings.registerCa, "--register-ca"),
    login: user === undefined ? undefined : {
      user,
      password: new Secret(
        (await fileOf(registerPasswordFile, "--register-password-file") ?? "").trimEnd(),
      ),
    },
    client: registerCert === undefined ? undefined : {
      certificate: await fileOf(registerCert, "--register-cert") ?? "",
      key: new Secret(await fileOf(registerKey, "--register-key") ?? ""),
    },
  });
  const parse = parseClusterDocument;
  const first = (): ClusterDocument => ({
    cluster: newCluster(clusterSettings(wanted, undefined, randomId(deps.random))),
    security: undefined,
  });
  try {
    const found = await readOrBegin(gateway, { prefix, first, parse });
    return {
      found: found.document,
      open: (member, events) =>
        new EtcdRegister({ ...deps, gateway }, { prefix, member, found, parse }, events),
      close: () => gateway.close(),
    };
  } catch (error) {
    gateway.close();
    const { code, message } = failureOf(error);
    throw new KvError(code, `--register: ${message}`, { cause: error });
  }
}

async function fileOf(path: string | undefined, flag: string): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await readTextFileIfThere(path);
  if (text === undefined) throw new KvError("bad_config", `${flag}: there is no file ${path}`);
  return text;
}
