/**
 * The console: a page for people, at `/` of every process, with its script and style, and what it is told of the cluster.
 * The page itself tells nothing: whoever may not log in sees it, and no more.
 *
 * Invariant: the page loads nothing from elsewhere, and runs no script but its own.
 *
 * @module
 */
import { CONSOLE_HTML, CONSOLE_SCRIPT, CONSOLE_STYLE } from "../../console/console_bundle.ts";
import { endpoint, textResponse } from "./endpoint.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  // Another version of the process has another page, and its parts belong together.
  "cache-control": "no-cache",
};

function file(id: string, summary: string, contentType: string, text: string) {
  return endpoint({
    id,
    summary,
    parameters: {},
    responses: { 200: { description: "The file.", contentType } },
    run: () => textResponse(text, { ...HEADERS, "content-type": `${contentType}; charset=utf-8` }),
  });
}

export const getConsole = file(
  "getConsole",
  "A page for people: the cluster at a glance",
  "text/html",
  CONSOLE_HTML,
);
export const getConsoleScript = file(
  "getConsoleScript",
  "The page's script",
  "text/javascript",
  CONSOLE_SCRIPT,
);
export const getConsoleStyle = file(
  "getConsoleStyle",
  "The page's style",
  "text/css",
  CONSOLE_STYLE,
);

export const getConsoleSnapshot = endpoint({
  id: "getConsoleSnapshot",
  summary: "What the page shows of the cluster; for the page, and subject to change",
  parameters: {},
  responses: { 200: { description: "The snapshot.", schema: { type: "object" } } },
  run: async ({ services }) =>
    textResponse(await services.site.snapshot(), {
      "content-type": "application/json",
      "cache-control": "no-store",
    }),
});
