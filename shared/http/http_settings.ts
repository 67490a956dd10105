/**
 * The settings of the HTTP front end of node and coordinator, and what follows from them. Pure.
 *
 * @module
 */
import { HTTP_PORT_OFFSET } from "../limits/http.ts";
import { portOrOff, texts } from "../program/setting.ts";
import type { Address } from "../platform/transport.ts";
import type { OriginRules } from "./protocol/origins.ts";

const PORT_MAX = 65_535;

/** The settings. */
export const HTTP_SETTINGS = {
  httpPort: portOrOff({
    help:
      `The HTTP port; 0 lets the system choose one, off switches HTTP off. By default the TCP ` +
      `port plus ${HTTP_PORT_OFFSET} (0 if --port is 0 or above ${PORT_MAX - HTTP_PORT_OFFSET}).`,
  }),
  corsOrigin: texts({
    help: "Origins of web pages that may use the HTTP front end from a browser, such as " +
      "https://app.example; * for all. By default none.",
    placeholder: "ORIGIN,…",
  }),
  allowedHost: texts({
    help: "Host names by which HTTP requests may ask for this process, besides IP addresses, " +
      "localhost, and the names given by --host and --advertise-host; * for any name.",
    placeholder: "NAME,…",
  }),
};

/** The settings that somebody chose. */
interface HttpChoice {
  readonly host: string;
  readonly httpPort: number | "off" | undefined;
  /** The TCP port that was asked for. */
  readonly port: number;
}

/** Why the settings are not valid, or undefined. */
export function whyHttpWrong(
  { corsOrigin, allowedHost }: {
    corsOrigin: readonly string[];
    allowedHost: readonly string[];
  },
): string | undefined {
  const wrong = corsOrigin.find((origin) => origin !== "*" && !isOrigin(origin));
  if (wrong !== undefined) {
    return `--cors-origin must be * or an origin such as https://app.example:8443; got ${wrong}`;
  }
  const name = allowedHost.find((name) => name !== "*" && !/^[a-z0-9_.-]+$/i.test(name));
  return name === undefined
    ? undefined
    : `--allowed-host must be * or a host name without a port, such as kv.example; got ${name}`;
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/**
 * Where to listen: at the first address that is free; none if HTTP is off.
 *
 * @param tcpPort where the process listens
 * @param portsTried how many more ports to try after the default one, if nobody asked for a port
 */
export function httpAddresses(
  { host, httpPort, port }: HttpChoice,
  tcpPort: number,
  portsTried: number,
): Address[] {
  if (httpPort === "off") return [];
  if (httpPort !== undefined) return [{ host, port: httpPort }];
  const first = tcpPort + HTTP_PORT_OFFSET;
  if (port === 0 || first > PORT_MAX) return [{ host, port: 0 }];
  const count = Math.min(portsTried + 1, PORT_MAX - first + 1);
  return Array.from({ length: count }, (_, i) => ({ host, port: first + i }));
}

/** Which pages may use it, and by which names. */
export function originRules(
  { host, advertiseHost, corsOrigin, allowedHost }: {
    host: string;
    advertiseHost?: string | undefined;
    corsOrigin: readonly string[];
    allowedHost: readonly string[];
  },
): OriginRules {
  const names = [host, ...(advertiseHost === undefined ? [] : [advertiseHost]), ...allowedHost];
  return {
    corsOrigins: corsOrigin,
    hosts: names.map((name) => name.toLowerCase().replace(/\.$/, "")),
  };
}
