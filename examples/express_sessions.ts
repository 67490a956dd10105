/**
 * Sessions for Express: who is logged in is known to every process of a web application, and survives any of them.
 *
 *     deno run --allow-net --allow-env --allow-read --allow-sys examples/express_sessions.ts 3000
 *     curl -c jar -b jar 127.0.0.1:3000/     # 1, then 2, from any process
 *
 * The store is express-session's: four methods over a collection of the client library. See docs/recipes.md.
 *
 * @module
 */
// @ts-types="@types/express"
import express from "express";
// @ts-types="@types/express-session"
import session, { type SessionData, Store } from "express-session";
import { type Collection, connect, type KvClient } from "kv-client";

declare module "express-session" {
  interface SessionData {
    visits?: number;
  }
}

const SESSION_MS = 86_400_000;

/** Keeps sessions in the cluster. They expire by themselves. */
export class KvSessionStore extends Store {
  readonly #sessions: Collection<SessionData>;

  constructor(kv: KvClient, prefix = "session:") {
    super();
    this.#sessions = kv.collection<SessionData>(prefix);
  }

  override get(id: string, done: (error: unknown, session?: SessionData | null) => void): void {
    this.#sessions.get(id).then((found) => done(null, found ?? null), done);
  }

  override set(id: string, data: SessionData, done: (error?: unknown) => void = () => {}): void {
    const ttlMs = data.cookie.originalMaxAge ?? SESSION_MS;
    this.#sessions.put(id, data, { ttlMs }).then(() => done(), done);
  }

  /** A visit that changes nothing makes the session last longer. */
  override touch(id: string, data: SessionData, done: (error?: unknown) => void = () => {}): void {
    this.set(id, data, done);
  }

  override destroy(id: string, done: (error?: unknown) => void = () => {}): void {
    this.#sessions.delete(id).then(() => done(), done);
  }
}

if (import.meta.main) {
  const kv = await connect();
  const app = express();
  app.use(session({
    store: new KvSessionStore(kv),
    secret: Deno.env.get("SESSION_SECRET") ?? "only for trying it out",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: SESSION_MS, httpOnly: true, sameSite: "lax" },
  }));
  app.get("/", (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.send(`${request.session.visits}\n`);
  });
  app.get("/leave", (request, response) => {
    request.session.destroy(() => response.send("bye\n"));
  });
  const server = app.listen(Number(Deno.args[0] ?? 3000), "127.0.0.1", () => {
    const address = server.address();
    console.log(`port ${typeof address === "object" ? address?.port : address}`);
  });
}
