import { assertEquals } from "@std/assert";
import { KvError } from "../../../shared/base/errors.ts";
import type { MemberName } from "../../../shared/platform/member_identity.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import type { Connection } from "../../../shared/wire/connection.ts";
import type { Message } from "../../../shared/wire/messages.ts";
import type { DatabaseInput, Decided } from "../../../coordinator/database_changes.ts";
import type { Input } from "../../../coordinator/controller/input.ts";
import { MemberSessions, type SessionsOwner } from "../../../coordinator/member_sessions.ts";

interface Owner extends Omit<SessionsOwner, "step" | "publishedMap" | "closed"> {
  closed: boolean;
  right: boolean;
  readonly orders: { input: DatabaseInput; decided: Decided }[];
  publishedMap(): object;
  step(input: Input): object;
}

/** Sessions whose state machine writes down what it is told. */
function setUp() {
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  const owner: Owner = {
    closed: false,
    publishedMap: () => ({ epoch: 3 }),
    right: true,
    hasRight: () => owner.right,
    orders: [],
    orderDatabase: (input: DatabaseInput, decided: Decided) =>
      void owner.orders.push({ input, decided }),
    checkRight: () => {},
    step: (input: Input) => {
      const { type, session } = input as Input & { session: number };
      const message = "message" in input ? input.message as Message : undefined;
      const what = type === "report" ? message?.req_type : type;
      const more = "stopping" in input
        ? ` ${input.stopping}`
        : "writable" in input
        ? ` ${input.writable}`
        : message?.req_type === "register"
        ? ` ${message.node}`
        : "";
      say(`${session} ${what}${more}`);
      if (type === "heartbeat") return { acknowledgement: { req_type: "heartbeat_ack" } };
      return more === " old" ? { refusal: new KvError("stale_incarnation", "") } : {};
    },
  };
  const sessions = new MemberSessions(
    { log: NO_LOG, random: new SeededRandom(1) },
    owner as unknown as SessionsOwner,
  );
  const open = (name: string, member?: MemberName) => {
    const sent: string[] = [];
    const connection = {
      closed: false,
      queuedBytes: 0,
      remote: { host: "h", port: 1 },
      member,
      sendText: (text: string) => void sent.push(text),
      close: () => void sent.push("closed"),
    };
    const handlers = sessions.accept(name, connection as unknown as Connection);
    const hear = (message: object) =>
      handlers.onMessage(message as Message, connection as unknown as Connection);
    const close = () => handlers.onClose(undefined, connection as unknown as Connection);
    return { sent, hear, close };
  };
  return { lines, owner, sessions, open };
}

Deno.test("MemberSessions: each message of a node comes to the state machine, with its session", () => {
  const { lines, open } = setUp();
  const first = open("n1");
  const second = open("n2");
  first.hear({ req_type: "register", node: "n1" });
  second.hear({ req_type: "disk", writable: false });
  for (const req_type of ["caught_up", "lagging", "damaged", "drained", "resumed"]) {
    second.hear({ req_type });
  }
  first.hear({ req_type: "leave" });
  first.hear({ req_type: "heartbeat", node: "n1" });
  second.close();
  assertEquals(lines, [
    "1 register n1",
    "2 disk false",
    "2 caught_up",
    "2 lagging",
    "2 damaged",
    "2 drained",
    "2 resumed",
    "1 leave false",
    "1 heartbeat",
    "2 session_closed",
  ]);
  assertEquals([first.sent, second.sent], [['{"req_type":"heartbeat_ack"}'], []]);
});

Deno.test("MemberSessions: a refusal is told, a map is given, and what is no node's is refused", () => {
  const { lines, open } = setUp();
  const { sent, hear } = open("old");
  hear({ req_type: "register", id: 1, node: "old" });
  hear({ req_type: "get_map", id: 2 });
  hear({ req_type: "put", id: 3, key: "k", value: "v" });
  const answers = sent.map((text) => JSON.parse(text)).map(({ id, req_type, code }) => [
    id,
    code ?? req_type,
  ]);
  assertEquals(answers, [[1, "stale_incarnation"], [2, "map"], [3, "bad_request"]]);
  assertEquals(lines, ["1 register old"]);
});

Deno.test("MemberSessions: an order about a database is answered when it is decided, and by nobody who may have been replaced", () => {
  const { owner, open } = setUp();
  const { sent, hear } = open("n1");
  const told = () => sent.splice(0).map((text) => JSON.parse(text));
  const wanted = { req_type: "database_wanted", database: "a" };
  hear({ ...wanted, wish: 1 });
  hear({ ...wanted, wish: 2, drop: 7 });
  assertEquals(told(), []);
  const [make, drop] = owner.orders;
  assertEquals(make?.input, {
    type: "create_database",
    order: { name: "a" },
    ifAbsent: true,
    session: 1,
  });
  assertEquals(drop?.input, { type: "drop_database", name: "a", number: 7, session: 1 });
  drop?.decided(9);
  make?.decided(new KvError("unavailable", "not yet"));
  // Who is not registered is told nothing.
  make?.decided(0);
  assertEquals(told(), [
    { req_type: "database_decided", wish: 2, epoch: 9 },
    { req_type: "database_decided", wish: 1, code: "unavailable", message: "not yet" },
  ]);
  owner.right = false;
  hear({ ...wanted, wish: 3 });
  assertEquals([owner.orders.length, sent], [2, []]);
});

Deno.test("MemberSessions: what another node would say is refused, whoever says it", () => {
  const { lines, open } = setUp();
  const { sent, hear } = open("n1");
  hear({ req_type: "register", id: 1, node: "n2" });
  hear({ req_type: "heartbeat", id: 2, node: "n2" });
  assertEquals(sent.map((text) => JSON.parse(text).code), ["forbidden", "forbidden"]);
  assertEquals(lines, []);
});

Deno.test("MemberSessions.send: to some sessions; those that have ended are passed over", () => {
  const { lines, owner, sessions, open } = setUp();
  const nodes = [open("n1"), open("n2"), open("n3")];
  nodes[1]?.close();
  sessions.send([1, 2, 3], { req_type: "left" });
  sessions.close(3);
  assertEquals(nodes.map(({ sent }) => sent), [['{"req_type":"left"}'], [], [
    '{"req_type":"left"}',
    "closed",
  ]]);
  owner.closed = true;
  nodes[0]?.close();
  assertEquals(lines, ["2 session_closed"]);
});

Deno.test("MemberSessions: a certified node is told the key of its session, and nobody else is told one", () => {
  const { sessions, open } = setUp();
  const certified = (id: string) => ({ id, role: "node", serial: "1" }) as const;
  const opened = [open("n1", certified("n1")), open("n2"), open("n3", certified("n4"))];
  const registered = { req_type: "registered", map: { epoch: 3 }, heartbeat_port: 1, at: 2 };
  sessions.send([1, 2, 3], registered as unknown as Message);
  const told = opened.map(({ sent }) => JSON.parse(sent[0] ?? "{}"));
  assertEquals(told.map(({ heartbeat_key: _, ...rest }) => rest), Array(3).fill(registered));
  const keys = told.map(({ heartbeat_key: key }) => key);
  assertEquals(keys, [sessions.channels.keyOf(1), undefined, undefined]);
  assertEquals(/^[0-9a-f]{64}$/.test(keys[0]), true);
  // A new session has another one, and what ends takes its own with it.
  open("n1", certified("n1"));
  assertEquals(sessions.channels.keyOf(1), undefined);
  opened[0]?.close();
  assertEquals(typeof sessions.channels.keyOf(4), "string");
});
