import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { CommandIo, Logins, StoredLogin } from "../../../../../client/cli/command/command.ts";
import { Session } from "../../../../../client/cli/session.ts";
import { CLIENT_SETTINGS } from "../../../../../client/cli/settings.ts";
import type { ClientLogin } from "../../../../../client/calls/call.ts";
import { KvError } from "../../../../../shared/base/errors.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import { fingerprintOfPem } from "../../../../../shared/security/authority_fingerprint.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

const pem = (name: string) =>
  `-----BEGIN CERTIFICATE-----\n${btoa(name)}\n-----END CERTIFICATE-----\n`;
const OURS = pem("ours");
const NEXT = pem("next");
const OTHER = pem("other");
const TOKEN = `kv1.${fingerprintOfPem(OURS)}.${"A".repeat(43)}`;

/** A cluster that shows authorities, and somebody at the terminal, or nobody. */
class Bench {
  readonly session: Session;
  readonly files = new Map<string, string>();
  /** What the server shows, and which of them has signed its certificate. */
  shown = [OURS];
  signer = OURS;
  answers: string[] | undefined;
  secrets: (string | undefined)[] | undefined;
  input: string | undefined;
  kept: StoredLogin | undefined;
  readonly tried: ClientLogin[] = [];
  printed = "";

  constructor() {
    const input = () => this.input;
    const answers = () => this.answers;
    const secrets = () => this.secrets;
    const say = (text: string) => void (this.printed += text);
    const chunks = async function* (text: string) {
      yield await Promise.resolve(new TextEncoder().encode(text));
    };
    const io: CommandIo = {
      write: (data) => Promise.resolve(void (this.printed += data)),
      note: (text) => void (this.printed += text + "\n"),
      get input() {
        const text = input();
        return text === undefined ? undefined : chunks(text);
      },
      openRead: (path) => {
        const text = this.files.get(path);
        if (text === undefined) return Promise.reject(new Error("No such file"));
        return Promise.resolve({ chunks: chunks(text), bytes: text.length });
      },
      createWhole: () => Promise.reject(new Error("Read-only")),
      openKvFile: () => Promise.reject(new Error("Read-only")),
      createKvFile: () => Promise.reject(new Error("Read-only")),
      openAnywhere: () => Promise.reject(new Error("Read-only")),
      progress: () => undefined,
      screen: undefined,
      get ask() {
        return answers() && ((question: string) => {
          say(question);
          return Promise.resolve(answers()?.shift() ?? "");
        });
      },
      set ask(_) {
        throw new Error("it asks by itself");
      },
      get askSecret() {
        return secrets() && ((question: string) => {
          say(question);
          return Promise.resolve(secrets()?.shift());
        });
      },
      set askSecret(_) {
        throw new Error("it asks by itself");
      },
    };
    const logins: Logins = {
      find: () => Promise.resolve({ host: "found", port: 1 }),
      authoritiesAt: (_, trusted) => {
        if (trusted !== undefined && !trusted.includes(this.signer.trim())) {
          return Promise.reject(new KvError("unauthorized", "not of this authority"));
        }
        return Promise.resolve(this.shown);
      },
      addressesOf: (_, login) => {
        if (login.ca?.includes(this.signer.trim()) !== true) {
          return Promise.reject(new KvError("unavailable", "not of this authority"));
        }
        this.tried.push(login);
        return login.password === "wrong horse"
          ? Promise.reject(new KvError("unauthorized", "user or password is wrong"))
          : Promise.resolve(["n1:8081", "n2:8081"]);
      },
      stored: () => Promise.resolve(this.kept),
      store: (login) => {
        this.kept = login;
        return Promise.resolve("/home/credentials.json");
      },
      forget: () => {
        const there = this.kept !== undefined;
        this.kept = undefined;
        return Promise.resolve(there ? "/home/credentials.json" : undefined);
      },
    };
    this.session = new Session({
      client: () => Promise.reject(new Error("no login needs a client")),
      logins,
      io,
      clock: new ManualClock(),
      random: new SeededRandom(1),
      options: CLIENT_SETTINGS,
      settings: {
        json: false,
        raw: false,
        timeoutMs: 1_000,
        consistency: "strong",
        acks: "all",
        database: undefined,
        keyColumn: undefined,
        format: "auto",
        giveUpAfterMs: 1_000,
      },
    });
  }

  async line(text: string): Promise<[exitCode: number, printed: string]> {
    this.printed = "";
    const { exitCode } = await this.session.runLine(text, new AbortController().signal);
    return [exitCode, this.printed];
  }
}

Deno.test("login: shows the authority once, and asks for user and password", async () => {
  const bench = new Bench();
  bench.answers = ["yes", "alice"];
  bench.secrets = ["correct horse"];
  const [code, printed] = await bench.line("login c");
  assertEquals(code, 0, printed);
  assertStringIncludes(printed, fingerprintOfPem(OURS));
  assertStringIncludes(printed, "logged in at c:8080 as alice");
  assertEquals(printed.includes("correct horse"), false);
  assertEquals(bench.kept, {
    user: "alice",
    password: "correct horse",
    ca: OURS,
    addresses: ["c:8080", "n1:8081", "n2:8081"],
  });
  // The next time it is known.
  bench.answers = [];
  bench.secrets = ["battery staple"];
  assertEquals((await bench.line("login c --user bob"))[0], 0);
  assertEquals(bench.kept?.user, "bob");
  // And so is the next one, which it shows beside it.
  bench.shown = [NEXT, OURS];
  bench.secrets = ["battery staple"];
  assertEquals((await bench.line("login n1:8081 --user bob"))[0], 0);
  assertEquals(bench.kept?.ca, NEXT + OURS);
});

Deno.test("login: an authority that is not confirmed, or is another one, gets no password", async () => {
  const bench = new Bench();
  bench.answers = ["no"];
  bench.secrets = ["correct horse"];
  assertStringIncludes((await bench.line("login c --user a"))[1], "not trusted; nothing was sent");
  const fingerprint = fingerprintOfPem(OTHER);
  const [, other] = await bench.line(`login c --user a --fingerprint ${fingerprint}`);
  assertStringIncludes(other, "is not the one with the fingerprint");
  bench.files.set("other.crt", OTHER);
  assertStringIncludes((await bench.line("login c --user a --ca other.crt"))[1], "not of this");
  // It shows ours, which everybody can, and has no certificate of it.
  bench.signer = OTHER;
  bench.answers = ["yes"];
  assertStringIncludes((await bench.line("login c --user a"))[1], "not of this authority");
  bench.signer = OURS;
  bench.kept = { ca: OURS, addresses: ["c:8080"], token: TOKEN };
  bench.shown = [OTHER];
  bench.answers = ["no"];
  assertStringIncludes((await bench.line("login c --user a"))[1], "is NOT the one of the last");
  assertEquals([bench.tried, bench.kept.token], [[], TOKEN]);
});

Deno.test("login: without anybody at the terminal", async () => {
  const bench = new Bench();
  bench.files.set("ca.crt", OURS).set("password", "correct horse\nmore\n").set("token", TOKEN);
  const colons = fingerprintOfPem(OURS).toUpperCase().match(/../g)?.join(":");
  const good = [
    "login c --user a --password-file password --ca ca.crt",
    `login c --user a --password-file password --fingerprint SHA256=${colons}`,
    "login c --token-file token",
    "login --token-file token",
  ];
  for (const line of good) {
    bench.kept = undefined;
    assertEquals((await bench.line(line))[0], 0, line);
    assert(bench.kept !== undefined, line);
  }
  assertEquals(bench.tried.map(({ user, token }) => user ?? token), ["a", "a", TOKEN, TOKEN]);
  bench.input = "from a pipe\n";
  assertEquals((await bench.line("login c --user a --password-file - --ca ca.crt"))[0], 0);
  assertEquals(bench.tried.at(-1)?.password, "from a pipe");

  bench.input = undefined;
  bench.kept = undefined;
  const bad: [line: string, why: string][] = [
    ["login c --user a --password-file password", "the cluster's authority is not known here"],
    ["login c --ca ca.crt", "as whom?"],
    ["login c --ca ca.crt --user a", "nobody can be asked"],
    ["login c --user a --token-file token", "give --token-file alone"],
    ["login c --ca ca.crt --fingerprint 00", "not both"],
    ["login c --fingerprint 00", "64 hexadecimal digits"],
    ["login c --ca password --user a", "no certificate in PEM"],
    ["login c --token-file password", "not a token"],
    ["login c:x", "login ADDRESS: required host"],
  ];
  for (const [line, why] of bad) {
    const [code, printed] = await bench.line(line);
    assertEquals(code, 2, `${line}: ${printed}`);
    assertStringIncludes(printed, why);
  }
  assertEquals(bench.kept, undefined);
});

Deno.test("login: a wrong password is kept nowhere; logout forgets", async () => {
  const bench = new Bench();
  bench.files.set("ca.crt", OURS).set("bad", "wrong horse").set("good", "correct horse");
  const login = "login c --user a --ca ca.crt --password-file";
  assertStringIncludes((await bench.line(`${login} bad`))[1], "unauthorized");
  assertEquals(bench.kept, undefined);
  assertEquals((await bench.line(`${login} good`))[0], 0);
  assertStringIncludes((await bench.line("logout"))[1], "logged out");
  assertEquals(bench.kept, undefined);
  assertStringIncludes((await bench.line("logout"))[1], "nobody was logged in");
});

Deno.test("user add: a new password is typed twice, or comes from a file", async () => {
  const bench = new Bench();
  bench.secrets = ["one horse", "two horse"];
  const [, printed] = await bench.line("user add alice");
  assertStringIncludes(printed, "New password: The same again: ");
  assertStringIncludes(printed, "the two differ; nothing was done");
  bench.secrets = [undefined];
  assertStringIncludes((await bench.line("user passwd alice"))[1], "nothing was given");
  bench.secrets = undefined;
  assertStringIncludes((await bench.line("user add alice"))[1], "--password-file FILE");
});
