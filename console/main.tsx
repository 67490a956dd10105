/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The page: asks for a snapshot once in a period, and shows one of its views. @module */
import { render } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ConsoleSnapshot } from "../shared/console/snapshot.ts";
import * as api from "./api.ts";
import { Data, textOf } from "./data.tsx";
import { duration } from "./format.ts";
import { History } from "./history.ts";
import { Overview } from "./overview.tsx";
import { Query } from "./query.tsx";

const PERIOD_MS = 2_000;
const VIEWS = ["Overview", "Data", "Query"] as const;
const THEMES = ["auto", "light", "dark"] as const;

const PREFERS_DARK = matchMedia("(prefers-color-scheme: dark)");

type View = (typeof VIEWS)[number];

function App() {
  const [snapshot, setSnapshot] = useState<ConsoleSnapshot>();
  const [failure, setFailure] = useState<{ text: string; sinceMs: number | undefined }>();
  const [wantsLogin, setWantsLogin] = useState<string>();
  const [view, setView] = useState<View>(viewOfHash());
  const [theme, setTheme] = useState(localStorage.getItem("kv-theme") ?? "auto");
  const [turn, setTurn] = useState(0);
  const [isDark, setDark] = useState(PREFERS_DARK.matches);
  const history = useRef(new History());

  useEffect(() => {
    const onHash = () => setView(viewOfHash());
    const onScheme = () => setDark(PREFERS_DARK.matches);
    addEventListener("hashchange", onHash);
    PREFERS_DARK.addEventListener("change", onScheme);
    return () => {
      removeEventListener("hashchange", onHash);
      PREFERS_DARK.removeEventListener("change", onScheme);
    };
  }, []);
  useLayoutEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("kv-theme", theme);
  }, [theme]);
  useEffect(() => {
    let isOver = false;
    const look = async () => {
      // A page that nobody sees asks for nothing.
      if (document.hidden) return;
      try {
        const found = await api.snapshot();
        if (isOver) return;
        history.current.add(found);
        setSnapshot(found);
        setFailure(undefined);
        setWantsLogin(undefined);
      } catch (error) {
        if (isOver) return;
        const status = error instanceof api.ApiError ? error.status : 0;
        // Asked again and again, a wrong password would lock its user out.
        if (status === 401 || status === 403) isOver = true;
        if (status === 401) setWantsLogin(api.isLoggedIn() ? textOf(error) : "");
        else if (status === 403) {
          setWantsLogin(undefined);
          setFailure({ text: `${textOf(error)}.`, sinceMs: undefined });
        } else {
          setFailure((before) => ({
            text: textOf(error),
            sinceMs: before?.sinceMs ?? Date.now(),
          }));
        }
      }
    };
    const go = async () => {
      while (!isOver) {
        await look();
        await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
      }
    };
    void go();
    return () => void (isOver = true);
  }, [turn]);

  if (wantsLogin !== undefined) {
    return <Login refusal={wantsLogin} onDone={() => setTurn(turn + 1)} />;
  }
  const { cluster, health } = snapshot ?? {};
  return (
    <>
      <header>
        <h1>
          {cluster?.name ?? "kv"}{" "}
          <span class={`state ${kindOf(health?.status)}`}>
            {failure === undefined
              ? health?.status ?? "…"
              : failure.sinceMs === undefined
              ? "not shown"
              : "no answer"}
          </span>
        </h1>
        <nav aria-label="Views">
          {VIEWS.map((one) => (
            <a
              key={one}
              href={`#${one.toLowerCase()}`}
              aria-current={one === view ? "page" : undefined}
            >
              {one}
            </a>
          ))}
        </nav>
        <p class="muted">
          {cluster !== undefined && (
            <>
              map {cluster.epoch}, version {cluster.version}, seen by{" "}
              {snapshot?.seenBy === "coordinator" ? "the coordinator" : `node ${snapshot?.seenBy}`}
              {cluster.secured ? "" : ", not secured"}
            </>
          )}
          <label class="inline">
            <span>theme</span>
            <select value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
              {THEMES.map((one) => <option key={one} value={one}>{one}</option>)}
            </select>
          </label>
          {api.isLoggedIn() && (
            <button
              type="button"
              onClick={() => {
                api.setLogin(undefined);
                setTurn(turn + 1);
              }}
            >
              Log out
            </button>
          )}
        </p>
      </header>
      {failure !== undefined && (
        <p class="alert critical stale" role="alert">
          <span class="mark" aria-hidden="true">✕</span>
          <span>
            <b>{failure.text}</b>
            {failure.sinceMs !== undefined && ` Since ${duration(Date.now() - failure.sinceMs)}.`}
            {snapshot !== undefined &&
              ` What is shown is ${duration(Date.now() - snapshot.atMs)} old.`}
          </span>
        </p>
      )}
      <main class={failure === undefined ? "" : "old"}>
        {view === "Data"
          ? <Data />
          : view === "Query"
          ? <Query />
          : snapshot === undefined
          ? failure === undefined && <p class="muted">One moment…</p>
          : <Overview snapshot={snapshot} history={history.current} theme={`${theme} ${isDark}`} />}
      </main>
    </>
  );
}

function Login({ refusal, onDone }: { refusal: string; onDone: () => void }) {
  const [user, setUser] = useState("");
  const [secret, setSecret] = useState("");
  const isToken = secret.startsWith("kv1.") && user === "";
  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          api.setLogin(isToken ? { token: secret } : { user, password: secret });
          onDone();
        }}
      >
        <h1>kv console</h1>
        <p class="muted">
          This cluster is secured. The user needs the right <code>monitor</code> or{" "}
          <code>admin</code> to see it, and rights on keys for its data.
        </p>
        {refusal !== "" && <p class="error" role="alert">{refusal}</p>}
        <label>
          <span>User</span>
          <input
            name="user"
            autocomplete="username"
            autofocus
            value={user}
            onInput={(event) => setUser(event.currentTarget.value)}
          />
        </label>
        <label>
          <span>Password, or a token without a user</span>
          <input
            name="password"
            type="password"
            autocomplete="current-password"
            value={secret}
            onInput={(event) => setSecret(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main" disabled={secret === "" || (user === "" && !isToken)}>
          Log in
        </button>
      </form>
    </main>
  );
}

function viewOfHash(): View {
  return VIEWS.find((view) => `#${view.toLowerCase()}` === location.hash) ?? "Overview";
}

function kindOf(status: string | undefined): string {
  return status === "ok"
    ? "good"
    : status === "degraded"
    ? "warning"
    : status === undefined
    ? ""
    : "critical";
}

const place = document.getElementById("app");
if (place !== null) {
  place.textContent = "";
  render(<App />, place);
}
