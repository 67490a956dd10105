/**
 * The address of a register in etcd, as `--register` takes it:
 *
 *     etcd://HOST:PORT[,HOST:PORT…]/PREFIX      in the clear
 *     etcds://HOST:PORT[,HOST:PORT…]/PREFIX     by TLS
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";

/** What the address says. */
export interface EtcdAddress {
  /** Such as `https://10.0.0.1:2379`. */
  readonly endpoints: readonly string[];
  /** What keys begin with, without slashes at its ends. */
  readonly prefix: string;
}

const ADDRESS = /^(etcds?):\/\/([^/@]+)\/(.+)$/;
const HOST = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$/;
const PREFIX = /^[A-Za-z0-9._/-]{1,200}$/;

/** @throws {KvError} `bad_config` */
export function parseEtcdAddress(text: string): EtcdAddress {
  const [, scheme, hosts = "", path = ""] = ADDRESS.exec(text) ?? [];
  const prefix = path.replace(/^\/+|\/+$/g, "");
  const members = hosts.split(",");
  if (!members.every((host) => HOST.test(host)) || !PREFIX.test(prefix)) {
    throw new KvError(
      "bad_config",
      `${
        JSON.stringify(text)
      } is no address of a register: it is etcd://HOST:PORT[,HOST:PORT…]/PREFIX, or etcds:// ` +
        "for TLS; a user's name is given with --register-user",
    );
  }
  const protocol = scheme === "etcds" ? "https" : "http";
  return { endpoints: members.map((host) => `${protocol}://${host}`), prefix };
}
