/**
 * Writes the documents' parts on operations, from the table of operations: `docs/operations-reference.md`, and
 * the part of `docs/protocol.md` between its markers. Answers in examples come from the operation's own
 * function. A unit test compares the pages with the output of this file.
 *
 *     deno task docs
 *
 * @module
 */
import { showUsage } from "../usage.ts";
import { ERROR_CODES } from "../../shared/base/errors.ts";
import type { Field } from "../../shared/schema/fields.ts";
import { VALUE_BYTES_MAX } from "../../shared/limits/wire.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import {
  type FrontEnd,
  type Operation,
  READ_FIELDS,
  WRITE_FIELDS,
  writeReply,
} from "../../shared/operations/operation.ts";
import {
  operationOf,
  operationsAt,
  requestFromWords,
} from "../../shared/arguments/request_words.ts";
import { type OperationName, OPERATIONS } from "../../shared/operations/table.ts";
import { wireForm } from "../../shared/wire/wire_form.ts";
import { markdownTable } from "./markdown_table.ts";
import { metricsReference } from "./metrics_reference.ts";
import { withClusterSettings } from "./cluster_settings_reference.ts";
import { findOption, type RequestOption, wordFields } from "../../shared/arguments/word_fields.ts";

/** The date and version in examples. */
const EXAMPLE_MS = Date.UTC(2026, 10, 21, 12);
const EXAMPLE_VERSION = 7;

const FRONT_END_NAMES: Readonly<Record<FrontEnd, string>> = {
  wire: "JSON wire",
  shell: "shell",
  http: "HTTP",
  resp: "RESP",
};

/** Fields that many operations have, listed once. */
const COMMON: Readonly<Record<string, Field<unknown>>> = { ...READ_FIELDS, ...WRITE_FIELDS };

const INTRODUCTION = `# Operations

<!-- Made by \`deno task docs\` from shared/operations/table.ts; do not change it by hand. -->

This page lists everything that can be done with one key and, at the end, [with many keys](#many-keys). Each operation has one implementation, a row of \`shared/operations/table.ts\`. It means the same at every front end: the JSON wire, the shell and one-shot commands, HTTP, RESP, and the library's \`execute\`.

How each front end expresses an operation:

- **JSON wire**: \`{"req_type":"NAME", …fields}\`, one line; see [protocol.md](protocol.md).
- **Shell**: \`name KEY ARGUMENTS --option WORD\`; \`help NAME\` lists the options. \`_\` in names is \`-\`, times are \`30m\`, \`1h30m\` or \`500ms\`, dates \`2030-01-31T12:00:00Z\`.
- **HTTP**: \`POST /op/NAME\` with the fields as a JSON object. The answer is the reply of the JSON wire; an error is a problem document with the same \`code\`.
- **RESP**: \`KV.NAME key arguments [FIELD word …]\`, besides Redis's own commands. Words are those of the shell, without dashes; a flag stands alone.
- **Library**: \`client.execute({ req_type: "NAME", … })\`, and a method of its own for most operations.

A value is bytes. On the JSON wire and in JSON bodies it is \`value\` if it is UTF-8, and \`value64\` (base64) otherwise.`;

const MANY_KEYS: readonly string[] = [
  "## Many keys",
  "How each front end works on many keys. Keys come in the order of their bytes, from the whole cluster.",
  markdownTable(["what", "JSON wire", "shell", "HTTP", "RESP", "library"], [
    [
      "a prefix or range in order, from either end",
      "`scan`, page by page",
      "`scan`",
      "`GET /kv`, `GET /keys`, page by page",
      "`KV.SCAN`; `SCAN`, `KEYS` by pattern",
      "`scan`, `keys`",
    ],
    ["how many", "`count`", "`count`", "`GET /count`", "`KV.COUNT`; `DBSIZE` for all", "`count`"],
    [
      "delete a prefix or range",
      "`delete_matching`",
      "`delete-matching`",
      "`DELETE /kv`",
      "`KV.DELETE_MATCHING`",
      "`deleteMatching`",
    ],
    [
      "delete everything",
      "`delete_matching`",
      "`flush-all`",
      "`DELETE /kv?all=yes`",
      "`FLUSHALL`",
      "`flushAll`",
    ],
    [
      "several keys, each by itself",
      "`batch`",
      "`get-many`, `put-many`, `delete-many`, `batch`",
      "`POST /batch`",
      "`MGET`, `DEL`; a pipeline",
      "`getMany`, `putMany`, `deleteMany`",
    ],
    [
      "several keys as one",
      "`transaction`",
      "`multi` … `exec`",
      "`POST /batch` with `atomic`",
      "`MULTI` … `EXEC`; `MSET`",
      "`atomic`",
    ],
    [
      "a copy of everything",
      "`backup_partition`",
      "`backup`, `restore`; `export`, `import`",
      "–",
      "–",
      "`backup`; `scan`",
    ],
  ]),
  'A deletion by prefix or range does not delete everything by accident, for example because a variable is empty. `delete-matching ""` of the shell and `deleteMatching({})` of the library are refused with `bad_request` (`{ prefix: undefined }` and `{ prefix: "" }` mean the same). To delete everything, use `flush-all --force` or `flushAll()`. On the wire, an explicit `"prefix":""` means all keys, and over HTTP every `DELETE /kv` needs `all=yes`.',
  "More on each: [protocol.md](protocol.md), `help` in the shell, [http.md](http.md), [redis.md](redis.md), [library.md](library.md), [backup.md](backup.md).",
];

/** The page on operations. */
export function operationsReference(): string {
  const names = Object.keys(OPERATIONS) as OperationName[];
  return [
    INTRODUCTION,
    markdownTable(
      ["operation", "what it does", "reply"],
      names.map((name) => {
        const { summary, reply } = operationOf(name);
        return [`[\`${name}\`](#${name})`, summary, `\`${reply}\``];
      }),
    ),
    "## Common fields",
    "Reads and writes have these fields as their tables below say. Only `key` is required.",
    fieldTable(Object.entries(COMMON).map(([name, field]) => [name, field])),
    "## Errors of any operation",
    markdownTable(["code", "meaning", "to be sent again"], commonErrors()),
    ...names.flatMap((name) => operationPart(name)),
    ...MANY_KEYS,
  ].join("\n\n") + "\n";
}

/** The table of operations in the page on the wire. */
export function wireTable(): string {
  const names = (Object.keys(OPERATIONS) as OperationName[])
    .filter((name) => ["read", "write"].includes(operationOf(name).kind));
  return markdownTable(
    ["message", "fields", "meaning"],
    names.map((name) => {
      const { fields, summary, answers } = operationOf(name);
      const list = wireFields(fields)
        .map(([field, { optional, ...of }]) =>
          `\`${field}${optional ? "?" : ""}\` ${typeName(of)}`
        );
      return [`\`${name}\``, list.join(", "), `${summary}. Answer: ${answers}.`];
    }),
  );
}

const BEGIN = "<!-- operations: made by `deno task docs` -->";
const END = "<!-- end of operations -->";

/** A page with what stands between the markers replaced. @throws {Error} if they are missing */
export function withWireTable(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/protocol.md has no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${wireTable()}\n\n${page.slice(end)}`;
}

function operationPart(name: OperationName): string[] {
  const operation = operationOf(name);
  const { summary, answers, errors, fields, frontEnds } = operation;
  const own = wireFields(fields).filter(([field]) => COMMON[field] === undefined);
  const common = wireFields(fields).map(([field]) => field)
    .filter((field) => COMMON[field] !== undefined);
  const missing = (Object.keys(FRONT_END_NAMES) as FrontEnd[]).filter((frontEnd) =>
    !frontEnds.includes(frontEnd)
  );
  return [
    `## ${name}`,
    `${summary}.`,
    ...(own.length === 0 ? [] : [fieldTable(own)]),
    `${own.length === 0 ? "Fields" : "Further fields"}: ${
      common.map((field) => `\`${field}\``).join(", ")
    }.`,
    `Reply: ${answers}.`,
    ...(errors.length === 0
      ? []
      : [`Specific errors: ${errors.map((code) => `\`${code}\``).join(", ")}.`]),
    ...(missing.length === 0
      ? []
      : [`Not at these front ends: ${
        missing.map((frontEnd) => FRONT_END_NAMES[frontEnd]).join(", ")
      }.`]),
    exampleText(name, operation),
  ];
}

function exampleText(name: OperationName, operation: Operation): string {
  const { example, frontEnds } = operation;
  const { words, options } = splitExample(operation, example.words);
  const request = requestFromWords(name, words, options, "shell");
  const reply = exampleReply(operation, request, example.before);
  const { req_type: _, ...fields } = wireForm(request);
  const answer = reply === undefined ? [] : [JSON.stringify(wireForm(reply))];
  const shellName = operation.shellName ?? name.replaceAll("_", "-");
  const resp = [
    `KV.${name.toUpperCase()}`,
    ...words,
    ...options.flatMap(([option, word]) =>
      word === undefined ? [option.toUpperCase()] : [option.toUpperCase(), String(word)]
    ),
  ];
  const lines: [FrontEnd, string[]][] = [
    ["wire", [JSON.stringify(wireForm(request)), ...answer]],
    ["shell", [`kv> ${[shellName, ...example.words.map(quoted)].join(" ")}`]],
    ["http", [`$ curl --json '${JSON.stringify(fields)}' 127.0.0.1:9081/op/${name}`]],
    ["resp", [`127.0.0.1:8081> ${resp.map(quoted).join(" ")}`]],
  ];
  const before = example.before === undefined
    ? reply === undefined ? "Example" : "Example, if there is no such key"
    : `Example, if the value is \`${example.before}\``;
  const text = lines.filter(([frontEnd]) => frontEnds.includes(frontEnd)).flatMap(([, list]) =>
    list
  );
  return `${before}:\n\n\`\`\`console\n${text.join("\n")}\n\`\`\``;
}

/** The words of an example, as the shell takes them apart. */
export function splitExample(
  operation: Operation,
  example: readonly string[],
): { words: string[]; options: RequestOption[] } {
  const known = wordFields(operation.fields);
  const words: string[] = [];
  const options: RequestOption[] = [];
  for (let i = 0; i < example.length; i++) {
    const word = example[i] ?? "";
    if (!word.startsWith("--")) words.push(word);
    else if (findOption(known, word.slice(2))?.field.form === "flag") options.push([word.slice(2)]);
    else options.push([word.slice(2), example[++i]]);
  }
  return { words, options };
}

/** What the operation's function makes of the example; undefined for one that is not of one key. */
function exampleReply(
  operation: Operation,
  request: KeyRequest,
  before: string | undefined,
): Reply | undefined {
  const entry = before === undefined ? undefined : {
    key: request.key,
    seq: EXAMPLE_VERSION,
    term: 1,
    flags: 0,
    timestampMs: EXAMPLE_MS - 60_000,
    expiresAtMs: operation.example.expires === true ? EXAMPLE_MS + 90_000 : 0,
    value: new TextEncoder().encode(before),
  };
  if (operation.kind === "read") return operation.read(request, entry, EXAMPLE_MS);
  if (operation.kind !== "write") return undefined;
  const current = operation.needsCurrent(request) ? entry : undefined;
  const context = { wallMs: EXAMPLE_MS, valueBytesMax: VALUE_BYTES_MAX };
  const outcome = operation.evaluate(request, current, context);
  if ("answer" in outcome) return outcome.answer;
  const version = EXAMPLE_VERSION + 1;
  return outcome.reply?.(version) ?? writeReply(version);
}

function quoted(word: string): string {
  return /^[\w.:{}@-]+$/.test(word) ? word : `'${word}'`;
}

function commonErrors(): string[][] {
  const codes = [
    ...["bad_request", "key_too_large", "unavailable", "timeout", "outcome_unknown"] as const,
    ...["not_enough_replicas", "overloaded", "corrupt", "storage_failed"] as const,
  ];
  return codes.map((code) => [
    `\`${code}\``,
    ERROR_CODES[code].text,
    ERROR_CODES[code].retry ? "yes" : "no",
  ]);
}

function wireFields(fields: Operation["fields"]): [string, Field<unknown>][] {
  return Object.entries(fields).filter(([, { local }]) => local !== true);
}

function fieldTable(fields: readonly (readonly [string, Field<unknown>])[]): string {
  return markdownTable(
    ["field", "type", "unit", "default", "what it is"],
    fields.filter(([, { local }]) => local !== true).map(([name, field]) => {
      const { summary = "", unit = "–", fallback, audience } = field.about ?? {};
      const standard = fallback ?? (field.optional ? "–" : "must be given");
      const where = audience === "servers"
        ? " (on the JSON wire only, between servers)"
        : audience === "programs"
        ? " (not in the shell)"
        : "";
      return [`\`${name}\``, typeName(field), unit, standard, summary + where];
    }),
  );
}

/** A type as the page on the wire names it. */
function typeName({ form, choices, requires }: Omit<Field<unknown>, "optional">): string {
  switch (form) {
    case "text":
    case "number":
      return form;
    case "uint":
    case "duration":
    case "date":
      return "uint";
    case "flag":
      return "bool";
    case "choice":
      return choices.join("/");
    case "document":
      return requires.replace(/^an? /, "");
  }
}

const USAGE =
  "usage: deno task docs (writes what the documents say of operations, settings and metrics)";

if (import.meta.main && !showUsage(Deno.args, USAGE)) {
  await Deno.writeTextFile("docs/operations-reference.md", operationsReference());
  const path = "docs/protocol.md";
  await Deno.writeTextFile(path, withWireTable(await Deno.readTextFile(path)));
  const operations = "docs/operations.md";
  await Deno.writeTextFile(operations, withClusterSettings(await Deno.readTextFile(operations)));
  await Deno.writeTextFile("docs/metrics.md", metricsReference());
  console.log(`${operationsAt("wire").length} operations written to docs/`);
}
