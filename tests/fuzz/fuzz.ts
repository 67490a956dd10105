/**
 * Hostile input at every front end, by fast-check: cases come from a seed, and what fails is made smaller until
 * nothing can be left out.
 *
 * A case is a finding if a process ends, if it neither answers nor closes the connection, if it answers what
 * its protocol does not know or with an error of its own (`internal`, 500), or if others are not served
 * afterwards.
 *
 * @module
 */
import fc from "fast-check";
import { DENOKV_STREAMS } from "./denokv_cases.ts";
import { FRAMES_HELLO, PEER_FRAMES } from "./frame_cases.ts";
import { HTTP_STREAMS } from "./http_cases.ts";
import { RESP_STREAMS } from "./resp_cases.ts";
import { Finding, type FrontEnd, Target } from "./target.ts";
import { AGREEMENT_LINES, CLIENT_LINES, DATAGRAMS, PEER_LINES } from "./wire_cases.ts";

/** What is sent where. */
export interface Attack {
  readonly name: string;
  readonly frontEnd: FrontEnd;
  readonly cases: fc.Arbitrary<Uint8Array>;
  /** What is said before, and answered, so that the cases are taken for what they are. */
  readonly hello?: string;
  /** Whether this front end answers; datagrams are answered elsewhere, or not at all. */
  readonly answers: boolean;
  /** Why an answer must not be; undefined if it may. */
  readonly whyWrong: (reply: string) => string | undefined;
}

/** All of them. */
export const ATTACKS: readonly Attack[] = [
  { name: "wire", frontEnd: "node", cases: CLIENT_LINES, answers: true, whyWrong: whyNoWire },
  { name: "peer", frontEnd: "node", cases: PEER_LINES, answers: true, whyWrong: whyNoWire },
  {
    name: "frames",
    frontEnd: "node",
    hello: FRAMES_HELLO,
    cases: PEER_FRAMES,
    answers: true,
    whyWrong: whyNoWire,
  },
  { name: "resp", frontEnd: "node", cases: RESP_STREAMS, answers: true, whyWrong: whyNoResp },
  { name: "http", frontEnd: "node http", cases: HTTP_STREAMS, answers: true, whyWrong: whyNoHttp },
  {
    name: "denokv",
    frontEnd: "node http",
    cases: DENOKV_STREAMS,
    answers: true,
    whyWrong: whyNoHttp,
  },
  {
    name: "gateway",
    frontEnd: "coordinator",
    cases: CLIENT_LINES,
    answers: true,
    whyWrong: whyNoWire,
  },
  {
    name: "member",
    frontEnd: "coordinator",
    cases: PEER_LINES,
    answers: true,
    whyWrong: whyNoWire,
  },
  {
    name: "coordinators",
    frontEnd: "coordinator",
    cases: AGREEMENT_LINES,
    answers: true,
    whyWrong: whyNoWire,
  },
  {
    name: "gateway-http",
    frontEnd: "coordinator http",
    cases: HTTP_STREAMS,
    answers: true,
    whyWrong: whyNoHttp,
  },
  {
    name: "heartbeats",
    frontEnd: "heartbeats",
    cases: DATAGRAMS,
    answers: false,
    whyWrong: () => undefined,
  },
  {
    name: "discovery",
    frontEnd: "discovery",
    cases: DATAGRAMS,
    answers: false,
    whyWrong: () => undefined,
  },
];

/** A longer input is kept in a file. */
const SHOWN_BYTES = 1_000;
/** So much of the cases must have been answered, be it by an error. */
const ANSWERED_PART_MIN = 1 / 3;
/** How often a finding is tried with less, each time perhaps on a new cluster. */
const SHRINKS_MAX = 60;

/** Which cases are tried. */
export interface FuzzOptions {
  readonly seed: number;
  readonly cases: number;
}

/** @throws {Finding} with the smallest input that was found */
export async function fuzz(target: Target, attack: Attack, options: FuzzOptions): Promise<void> {
  let shrinks: number | undefined;
  let answered = 0;
  const property = fc.asyncProperty(attack.cases, async (bytes) => {
    // Passed over: what is smallest so far stays so.
    if (shrinks !== undefined && ++shrinks > SHRINKS_MAX) return;
    try {
      if (await attempt(target, attack, bytes) !== "") answered++;
    } catch (error) {
      shrinks ??= 0;
      await target.renew();
      throw error;
    }
  });
  const details = await fc.check(property, { seed: options.seed, numRuns: options.cases });
  if (details.failed) {
    if (!(details.errorInstance instanceof Finding)) throw details.errorInstance;
    const [bytes] = details.counterexample ?? [];
    throw new Finding(
      [
        `${attack.name}, seed ${details.seed}: ${messageOf(details.errorInstance)}`,
        `smallest input: ${bytes === undefined ? "none" : await inputText(bytes)}`,
      ].join("\n"),
    );
  }
  // Input that nobody ever answers reaches nothing behind the front end.
  const least = attack.answers ? options.cases * ANSWERED_PART_MIN : 0;
  if (answered < least) {
    throw new Error(`${attack.name}: ${answered} of ${options.cases} cases were answered`);
  }
}

/** Sends one case, and gives what was answered. @throws {Finding} */
async function attempt(target: Target, attack: Attack, bytes: Uint8Array): Promise<string> {
  const reply = new TextDecoder().decode(await target.send(attack.frontEnd, bytes, attack.hello));
  const wrong = attack.whyWrong(reply);
  if (wrong !== undefined) throw new Finding(`${wrong}: ${reply.slice(0, 500)}`);
  await target.checkWell();
  return reply;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messageOf(error.cause)}`;
}

/** Shown here what is short, kept in a file what is long. */
async function inputText(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= SHOWN_BYTES) return escaped(bytes);
  const file = await Deno.makeTempFile({ prefix: "kv-fuzz-", suffix: ".bin" });
  await Deno.writeFile(file, bytes);
  const beginning = escaped(bytes.subarray(0, SHOWN_BYTES));
  return `${bytes.length} bytes, in ${file}, beginning with ${beginning}`;
}

/** As `printf '%b'` takes it. */
function escaped(bytes: Uint8Array): string {
  return Array.from(
    bytes,
    (byte) =>
      byte >= 32 && byte < 127 && byte !== 92
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

/** Lines of the JSON wire, or what the other protocols of the same port say. */
function whyNoWire(reply: string): string | undefined {
  if (/"code":"internal"|ERR internal/.test(reply)) return "a defect was answered";
  if (!reply.startsWith("{")) return undefined;
  for (const line of reply.split("\n").slice(0, -1)) {
    try {
      const { req_type } = JSON.parse(line) as { req_type?: unknown };
      if (typeof req_type !== "string") return "a line without req_type";
    } catch {
      return "a line that is no JSON";
    }
  }
  return undefined;
}

function whyNoResp(reply: string): string | undefined {
  if (/-?(ERR )?internal/i.test(reply) && /^-/m.test(reply)) return "a defect was answered";
  if (reply === "" || reply.startsWith("{") || reply.startsWith("HTTP/")) return undefined;
  return /^[-+:$*_#,(!=%~>|]/.test(reply) ? undefined : "no reply of RESP";
}

function whyNoHttp(reply: string): string | undefined {
  if (reply === "") return undefined;
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(reply)?.[1];
  if (status === undefined) return "no status line";
  return status === "500" ? "a defect was answered" : undefined;
}
