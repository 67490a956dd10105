/** @jsxImportSource preact */
/// <reference lib="dom" />
/**
 * The data browser: finds keys by their beginning, shows a value, and changes, expires or deletes it. What it writes is
 * conditional on the version that was shown, so it never overwrites what somebody else has written meanwhile.
 *
 * @module
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { quotedKey } from "../shared/base/key_text.ts";
import * as api from "./api.ts";
import { bytes, count, date, duration } from "./format.ts";

const PAGE = 100;
/** Changes that are shown, the newest first. */
const CHANGES = 50;
/** Keys are not looked for again for each of many changes. */
const RELOAD_MS = 500;

export function Data() {
  const [prefix, setPrefix] = useState("");
  const [page, setPage] = useState<{ keys: readonly string[]; cursor?: string | undefined }>({
    keys: [],
  });
  const [total, setTotal] = useState<number>();
  const [chosen, choose] = useState<string>();
  const [isNew, setNew] = useState(false);
  const [error, setError] = useState<string>();
  const [isLive, setLive] = useState(false);
  const [isListening, setListening] = useState(false);
  const [changes, setChanges] = useState<readonly (api.KeyChange & { readonly atMs: number })[]>(
    [],
  );
  const asked = useRef(0);

  async function load(from: string, cursor?: string) {
    const turn = ++asked.current;
    try {
      const found = await api.keys(from, cursor, PAGE);
      if (turn !== asked.current) return;
      setError(undefined);
      setPage((before) => ({
        keys: cursor === undefined ? found.keys : [...before.keys, ...found.keys],
        cursor: found.cursor,
      }));
      if (cursor !== undefined) return;
      setTotal(undefined);
      const all = await api.countKeys(from);
      if (turn === asked.current) setTotal(all);
    } catch (failure) {
      if (turn === asked.current) setError(textOf(failure));
    }
  }

  useEffect(() => {
    // Not for each letter that is typed.
    const timer = setTimeout(() => void load(prefix), 200);
    return () => clearTimeout(timer);
  }, [prefix]);

  useEffect(() => {
    setChanges([]);
    setListening(false);
    if (!isLive) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const reload = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void load(prefix);
      }, RELOAD_MS);
    };
    api.watch(prefix, stop.signal, (change) => {
      setChanges((before) => [{ ...change, atMs: Date.now() }, ...before].slice(0, CHANGES));
      reload();
    }, () => {
      setListening(true);
      reload();
    }).catch((failure) => {
      setLive(false);
      setError(textOf(failure));
    });
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [prefix, isLive]);

  const open = (key: string | undefined) => {
    setNew(false);
    choose(key);
  };
  return (
    <div class="data">
      <section class="keys" aria-label="Keys">
        <form onSubmit={(event) => event.preventDefault()}>
          <label>
            <span>Keys that begin with</span>
            <input
              type="search"
              value={prefix}
              spellcheck={false}
              autocomplete="off"
              onInput={(event) => setPrefix(event.currentTarget.value)}
            />
          </label>
          <button type="button" onClick={() => void load(prefix)}>Again</button>
          <label>
            <input
              type="checkbox"
              checked={isLive}
              onInput={(event) => setLive(event.currentTarget.checked)}
            />
            <span>Live</span>
          </label>
          <button
            type="button"
            onClick={() => {
              choose(undefined);
              setNew(true);
            }}
          >
            New key
          </button>
        </form>
        {error !== undefined && <p class="error" role="alert">{error}</p>}
        <p class="muted">
          {total === undefined ? "" : `${count(total)} ${total === 1 ? "key" : "keys"}`}
        </p>
        <ul>
          {page.keys.map((key) => (
            <li key={key}>
              <button
                type="button"
                class={key === chosen ? "chosen" : ""}
                onClick={() => open(key)}
              >
                {keyLabel(key)}
              </button>
            </li>
          ))}
        </ul>
        {page.cursor !== undefined && (
          <button
            type="button"
            onClick={() => void load(prefix, page.cursor)}
          >
            More
          </button>
        )}
        {isListening && (
          <section aria-label="Changes" aria-live="polite">
            <p class="muted">{changes.length === 0 ? "No changes yet." : "The newest changes:"}</p>
            <ul>
              {changes.map(({ type, key, atMs }) => (
                <li key={`${atMs} ${type} ${key}`}>
                  <button type="button" onClick={() => open(key)}>
                    {`${new Date(atMs).toLocaleTimeString()} ${type} ${keyLabel(key)}`}
                  </button>
                </li>
              ))}
            </ul>
          </section>
        )}
        {page.keys.length === 0 && error === undefined && <p class="muted">No such keys.</p>}
      </section>
      {isNew && (
        <Editor
          keyName={undefined}
          onChanged={(key) => {
            open(key);
            void load(prefix);
          }}
        />
      )}
      {chosen !== undefined && (
        <Editor
          key={chosen}
          keyName={chosen}
          onChanged={(key) => {
            choose(key);
            void load(prefix);
          }}
        />
      )}
    </div>
  );
}

/** One key. @param keyName undefined for one that is to be made */
function Editor(
  { keyName, onChanged }: {
    keyName: string | undefined;
    onChanged: (key: string | undefined) => void;
  },
) {
  const [entry, setEntry] = useState<api.KeyEntry>();
  const [name, setName] = useState(keyName ?? "");
  const [text, setText] = useState("");
  const [lifetime, setLifetime] = useState("");
  const [said, say] = useState<{ text: string; isError: boolean }>();
  const [busy, setBusy] = useState(false);
  const isBinary = entry?.value64 !== undefined;

  async function load() {
    if (keyName === undefined) return;
    await attempt(async () => {
      const found = await api.entry(keyName);
      setEntry(found);
      setText(found.value ?? "");
      return undefined;
    });
  }

  async function attempt(action: () => Promise<string | undefined>) {
    setBusy(true);
    try {
      const done = await action();
      say(done === undefined ? undefined : { text: done, isError: false });
    } catch (failure) {
      say({ text: textOf(failure), isError: true });
    }
    setBusy(false);
  }

  useEffect(() => void load(), []);

  const version = entry?.version;
  const condition = version === undefined ? {} : { if_version: version };
  const save = () =>
    attempt(async () => {
      if (entry === undefined) {
        await api.operation("create", { key: name, value: text, ...lifetimeOf(lifetime) });
      } else {
        await api.operation("put", {
          key: keyName,
          value: text,
          keep_ttl: true,
          ...(entry.content_type === undefined ? {} : { content_type: entry.content_type }),
          ...condition,
        });
        await load();
      }
      if (entry === undefined) {
        onChanged(name);
      }
      return "Saved.";
    });
  const expire = () =>
    attempt(async () => {
      const until = lifetimeOf(lifetime);
      if (until.ttl_ms === undefined) await api.operation("persist", { key: keyName });
      else await api.operation("expire", { key: keyName, ...until });
      await load();
      return until.ttl_ms === undefined ? "It does not expire any more." : "Its end is set.";
    });
  const remove = () => {
    if (!confirm(`Delete ${quotedKey(keyName ?? "")}?`)) return;
    void attempt(async () => {
      await api.operation("delete", { key: keyName, ...condition });
      onChanged(undefined);
      return undefined;
    });
  };
  return (
    <section class="entry" aria-label="Key">
      {keyName === undefined
        ? (
          <label>
            <span>Key</span>
            <input
              value={name}
              spellcheck={false}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
        )
        : (
          <h2>
            <code>{keyLabel(keyName)}</code>
          </h2>
        )}
      {entry !== undefined && (
        <p class="facts">
          version <b>{entry.version}</b>, written <b>{date(entry.timestamp)}</b>,{" "}
          {entry.expires_at === undefined ? "does not expire" : (
            <>
              expires in <b>{duration(entry.expires_at - Date.now())}</b>
            </>
          )}
          {entry.content_type !== undefined && (
            <>
              , <b>{entry.content_type}</b>
            </>
          )}
          {isBinary && (
            <>
              , <b>{bytes(atob(entry.value64 ?? "").length)}</b> that are no text
            </>
          )}
        </p>
      )}
      {isBinary ? <pre class="hex" tabIndex={0}>{hexOf(entry?.value64 ?? "")}</pre> : (
        <label>
          <span>Value</span>
          <textarea
            rows={12}
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      )}
      <p class="actions">
        <button
          type="button"
          class="main"
          disabled={busy || isBinary ||
            (keyName === undefined ? name === "" : text === entry?.value)}
          onClick={() => void save()}
        >
          Save
        </button>
        {keyName !== undefined && (
          <>
            <button type="button" disabled={busy} onClick={() => void load()}>Read again</button>
            <button
              type="button"
              class="danger"
              disabled={busy || entry === undefined}
              onClick={remove}
            >
              Delete
            </button>
          </>
        )}
        <label class="inline">
          <span>lives for</span>
          <input
            size={8}
            placeholder="ever"
            value={lifetime}
            onInput={(event) => setLifetime(event.currentTarget.value)}
          />
        </label>
        {keyName !== undefined && (
          <button
            type="button"
            disabled={busy || entry === undefined}
            onClick={() => void expire()}
          >
            Set
          </button>
        )}
      </p>
      {said !== undefined && (
        <p class={said.isError ? "error" : "said"} role="status">{said.text}</p>
      )}
    </section>
  );
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

/** `90s`, `10m`, `2h`, `7d`; nothing: for ever. @throws {Error} */
function lifetimeOf(text: string): { ttl_ms?: number } {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "ever") return {};
  const [, number, unit = "s"] = /^(\d+) *(ms|s|m|h|d)?$/.exec(trimmed) ?? [];
  if (number === undefined) {
    throw new Error("how long it lives is a number with s, m, h or d, such as 10m");
  }
  return { ttl_ms: Number(number) * (UNITS[unit] ?? 1) };
}

const HEX_BYTES_MAX = 4096;

/** Offset, hexadecimal digits, and the letters among them. */
function hexOf(base64: string): string {
  const raw = atob(base64);
  const lines: string[] = [];
  for (let at = 0; at < Math.min(raw.length, HEX_BYTES_MAX); at += 16) {
    const part = [...raw.slice(at, at + 16)];
    const hex = part.map((letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    const letters = part.map((letter) => letter >= " " && letter <= "~" ? letter : ".").join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${letters}`);
  }
  if (raw.length > HEX_BYTES_MAX) lines.push("…");
  return lines.join("\n");
}

/** A key for people: quoted, with escapes, if it is not text. */
function keyLabel(key: string): string {
  return key.isWellFormed() ? key : quotedKey(key);
}

export function textOf(failure: unknown): string {
  if (failure instanceof DOMException && failure.name === "TimeoutError") {
    return "No answer in time.";
  }
  if (failure instanceof Error && failure.name === "TypeError") {
    return "This process does not answer.";
  }
  return failure instanceof Error ? failure.message : String(failure);
}
