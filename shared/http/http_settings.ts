/**
 * What node and coordinator can be told about their HTTP door, and what follows from it. Pure.
 *
 * @module
 */
import { HTTP_PORT_OFFSET } from "../base/limits.ts";
import { portOrOff, texts } from "../program/setting.ts";
import type { Address } from "../platform/transport.ts";
import { isLoopback, type OriginRules } from "./protocol/origins.ts";

const PORT_MAX = 65_535;

/** The settings. */
export const HTTP_SETTINGS = {
  httpPort: portOrOff({
    help:
      `The HTTP port; 0 lets the system choose one, off switches HTTP off. By default the TCP ` +
      `port plus ${HTTP_PORT_OFFSET} (or 0 where --port is 0 or above ${
        PORT_MAX - HTTP_PORT_OFFSET
      }).`,
  }),
  corsOrigin: texts({
    help: "Origins of web pages that may use the HTTP door from a browser, such as " +
      "https://app.example; * for all. By default none.",
    placeholder: "ORIGIN,…",
  }),
};

/** What somebody chose. */
interface HttpChoice {
  readonly host: string;
  readonly httpPort: number | "off" | undefined;
  /** The TCP port that was asked for. */
  readonly port: number;
}

/** Why the settings cannot be, or undefined. */
export function whyHttpWrong(
  { corsOrigin }: { corsOrigin: readonly string[] },
): string | undefined {
  const wrong = corsOrigin.find((origin) => origin !== "*" && !isOrigin(origin));
  return wrong === undefined
    ? undefined
    : `--cors-origin must be * or an origin such as https://app.example:8443; got ${wrong}`;
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/**
 * Where to listen: the first that is free; none where HTTP is off.
 *
 * @param tcpPort where the process listens
 * @param portsTried so many more after the default one, which nobody asked for
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

/** Which pages are let in. */
export function originRules(
  { host, advertiseHost, corsOrigin }: {
    host: string;
    advertiseHost?: string | undefined;
    corsOrigin: readonly string[];
  },
): OriginRules {
  const names = [host, ...(advertiseHost === undefined ? [] : [advertiseHost])];
  return {
    corsOrigins: corsOrigin,
    hosts: names.map((name) => name.toLowerCase()),
    localOnly: isLoopback(host) && (advertiseHost === undefined || isLoopback(advertiseHost)),
  };
}
