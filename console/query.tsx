/** @jsxImportSource preact */
/// <reference lib="dom" />
/**
 * The query line: any operation, by its name, a key, and fields. What there is it learns from the process itself, so it
 * never offers what that cannot do.
 *
 * @module
 */
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api.ts";
import { textOf } from "./data.tsx";

const LISTINGS: readonly api.OperationSpec[] = [
  { name: "keys", summary: "The first keys that begin with a prefix", fields: {}, required: [] },
  { name: "count", summary: "How many keys begin with a prefix", fields: {}, required: [] },
];

const SHOWN_MAX = 50;

/** Fields that every operation has are offered last. */
const COMMON = new Set([
  "timeout_ms",
  "acks",
  "consistency",
  "session",
  "request_number",
  "since",
]);

interface Answer {
  readonly line: string;
  readonly text: string;
  readonly isError: boolean;
  readonly elapsedMs: number;
}

export function Query() {
  const [specs, setSpecs] = useState<readonly api.OperationSpec[]>(LISTINGS);
  const [line, setLine] = useState("");
  const [answers, setAnswers] = useState<readonly Answer[]>([]);
  const [back, setBack] = useState(0);
  const [picked, pick] = useState(0);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    api.operations().then((found) => setSpecs([...found, ...LISTINGS]), () => {});
    input.current?.focus();
  }, []);

  const offers = offersFor(line, specs);
  const take = (offer: string) => {
    const words = wordsOf(line);
    const kept = line.endsWith(" ")
      ? line
      : line.slice(0, line.length - (words.at(-1)?.raw.length ?? 0));
    setLine(`${kept}${offer}${offer.endsWith("=") ? "" : " "}`);
    pick(0);
    input.current?.focus();
  };

  async function run() {
    if (line.trim() === "") return;
    const began = performance.now();
    let answer: { text: string; isError: boolean };
    try {
      answer = { text: JSON.stringify(await carryOut(line, specs), undefined, 2), isError: false };
    } catch (failure) {
      answer = { text: textOf(failure), isError: true };
    }
    const elapsedMs = performance.now() - began;
    setAnswers((before) => [{ line, ...answer, elapsedMs }, ...before].slice(0, SHOWN_MAX));
    setLine("");
    setBack(0);
  }

  function onKey(event: KeyboardEvent) {
    const offer = offers[picked];
    if (event.key === "Tab" && !event.shiftKey && offer !== undefined) {
      event.preventDefault();
      take(offer.text);
    } else if (event.key === "ArrowDown" && event.ctrlKey) {
      event.preventDefault();
      pick((picked + 1) % Math.max(1, offers.length));
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      const next = Math.max(0, Math.min(answers.length, back + (event.key === "ArrowUp" ? 1 : -1)));
      setBack(next);
      setLine(answers[next - 1]?.line ?? "");
    }
  }

  const spec = specs.find(({ name }) => name === wordsOf(line)[0]?.text.toLowerCase());
  return (
    <section class="query" aria-label="Query">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <label>
          <span>Query</span>
          <input
            ref={input}
            value={line}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            placeholder="get username"
            aria-describedby="offers"
            onInput={(event) => {
              setLine(event.currentTarget.value);
              pick(0);
            }}
            onKeyDown={onKey}
          />
        </label>
        <button type="submit" class="main">Run</button>
      </form>
      <p id="offers" class="offers" aria-live="polite">
        {offers.map(({ text, about }, i) => (
          <button
            key={text}
            type="button"
            class={i === picked ? "picked" : ""}
            title={about}
            onClick={() => take(text)}
          >
            {text}
          </button>
        ))}
      </p>
      <p class="muted">
        {spec === undefined
          ? "An operation, a key, and fields as name=value. Quote what has spaces."
          : `${spec.summary}.`} Tab takes what is offered, ↑ brings lines back.
      </p>
      {answers.map(({ line, text, isError, elapsedMs }, i) => (
        <article class="answer" key={answers.length - i}>
          <p>
            <code>{line}</code> <small class="muted">{elapsedMs.toFixed(0)} ms</small>
          </p>
          <pre class={isError ? "error" : ""} tabIndex={0}>{text}</pre>
        </article>
      ))}
    </section>
  );
}

interface Word {
  readonly text: string;
  /** As it stands in the line. */
  readonly raw: string;
  readonly quoted: boolean;
}

/** Words, parted by spaces; "…" and '…' keep them together. */
function wordsOf(line: string): Word[] {
  return [...line.matchAll(/(?:[^\s"'=]*=)?(?:"((?:[^"\\]|\\.)*)"?|'([^']*)'?)|\S+/g)].map(
    ([raw, double, single]) => {
      const quoted = double ?? single;
      if (quoted === undefined) return { raw, text: raw, quoted: false };
      const name = /^[^\s"'=]*=/.exec(raw)?.[0] ?? "";
      return { raw, text: name + quoted.replace(/\\(.)/g, "$1"), quoted: true };
    },
  );
}

function offersFor(
  line: string,
  specs: readonly api.OperationSpec[],
): { text: string; about: string }[] {
  const words = wordsOf(line);
  const current = line === "" || line.endsWith(" ") ? "" : words.at(-1)?.text ?? "";
  const isFirst = words.length === 0 || (words.length === 1 && current !== "");
  if (isFirst) {
    return specs.filter(({ name }) => name.startsWith(current.toLowerCase()) && name !== current)
      .map(({ name, summary }) => ({ text: name, about: summary }));
  }
  const spec = specs.find(({ name }) => name === words[0]?.text.toLowerCase());
  if (spec === undefined || words.length < 2 || (words.length === 2 && current !== "")) return [];
  const given = new Set(words.slice(1).map(({ text }) => text.split("=")[0]));
  return Object.entries(spec.fields)
    .filter(([name]) => name.startsWith(current) && !given.has(name) && name !== "key")
    .toSorted(([a], [b]) => Number(COMMON.has(a)) - Number(COMMON.has(b)))
    .map(([name, { description = "" }]) => ({ text: `${name}=`, about: description }));
}

/** @throws {Error} if the line is not understood, or refused */
async function carryOut(line: string, specs: readonly api.OperationSpec[]): Promise<unknown> {
  const [first, ...rest] = wordsOf(line);
  const name = first?.text.toLowerCase() ?? "";
  if (name === "keys") return await api.keys(rest[0]?.text ?? "", undefined, 100);
  if (name === "count") return { count: await api.countKeys(rest[0]?.text ?? "") };
  const spec = specs.find((one) => one.name === name);
  if (spec === undefined) {
    throw new Error(
      `there is no operation ${JSON.stringify(name)}; there are ${
        specs.map((one) => one.name).join(", ")
      }`,
    );
  }
  const fields: Record<string, unknown> = {};
  // Words without a name are the key, then what the operation requires, then the value.
  const unnamed = [
    "key",
    ...spec.required.filter((field) => field !== "key"),
    ...("value" in spec.fields ? ["value"] : []),
  ];
  for (const { text, raw, quoted } of rest) {
    const at = text.indexOf("=");
    const field = at > 0 && !(quoted && /^["']/.test(raw)) ? text.slice(0, at) : undefined;
    const isNamed: boolean = field !== undefined && field in spec.fields;
    const target: string | undefined = isNamed ? field : unnamed.find((one) => !(one in fields));
    if (target === undefined) throw new Error(`${name}: ${JSON.stringify(text)} is too much`);
    fields[target] = valueOf(isNamed ? text.slice(at + 1) : text, spec.fields[target]?.type);
  }
  return await api.operation(name, fields);
}

function valueOf(text: string, type: string | undefined): unknown {
  if (type === "integer" || type === "number") {
    const number = Number(text);
    if (text === "" || Number.isNaN(number)) {
      throw new Error(`${JSON.stringify(text)} is not a number`);
    }
    return number;
  }
  if (type === "boolean") return text !== "false" && text !== "no";
  if (type === "array" || type === "object") return JSON.parse(text);
  return text;
}
