/**
 * The spans of a process that serves requests: one for each request that is part of a trace. What the request becomes at
 * another process is below it, because it names the span as its parent.
 *
 * @module
 */
import {
  contextOf,
  ERROR_STATUS,
  globalTracer,
  INTERNAL_KIND,
  parseTraceparent,
  SERVER_KIND,
  traceparentOf,
  type Tracer,
} from "./tracer.ts";

/** A request whose part in a trace may be known. */
export interface Traced {
  traceparent?: string | undefined;
}

/** The answer to a request, as far as it matters here. */
interface Answer {
  readonly req_type: string;
  readonly code?: unknown;
}

/** A span that has begun. */
export interface RequestSpan {
  /** To be passed on, in the place of what came. */
  readonly traceparent: string | undefined;
  /** @param code of the error; undefined if it is none */
  end(code: string | undefined): void;
}

/** Makes them. */
export class RequestTracing {
  readonly #tracer: Tracer;
  readonly #attributes: Readonly<Record<string, string>>;

  /** @param attributes that each span has, such as which process it is */
  constructor(tracer: Tracer, attributes: Readonly<Record<string, string>>) {
    this.#tracer = tracer;
    this.#attributes = attributes;
  }

  /** That of the process; undefined if nobody traces it. */
  static ofProcess(
    version: string,
    attributes: Readonly<Record<string, string>>,
  ): RequestTracing | undefined {
    const tracer = globalTracer("kv", version);
    return tracer === undefined ? undefined : new RequestTracing(tracer, attributes);
  }

  /**
   * @param part attributes of what is only a part of a request
   * @returns undefined if it is not part of a trace that somebody keeps
   */
  begin(
    operation: string,
    traceparent: unknown,
    part?: Readonly<Record<string, string>>,
  ): RequestSpan | undefined {
    const parent = parseTraceparent(traceparent);
    if (parent === undefined || (parent.traceFlags & 1) === 0) return undefined;
    const attributes = {
      "db.system.name": "kv",
      "db.operation.name": operation,
      ...this.#attributes,
      ...part,
    };
    const options = { kind: part === undefined ? SERVER_KIND : INTERNAL_KIND, attributes };
    const span = this.#tracer.startSpan(operation, options, contextOf(parent));
    return {
      traceparent: traceparentOf(span),
      end: (code) => {
        if (code !== undefined && code !== "not_found") {
          span.setAttribute("error.type", code);
          span.setStatus({ code: ERROR_STATUS });
        }
        span.end();
      },
    };
  }

  /** A request comes, and says from now on that it is below our span. @returns what its answer is given to */
  follow<A extends Answer>(
    request: Traced & { readonly req_type: string },
    reply: (answer: A) => void,
  ): (answer: A) => void {
    if (request.traceparent === undefined) return reply;
    const span = this.begin(request.req_type, request.traceparent);
    if (span === undefined) return reply;
    request.traceparent = span.traceparent;
    return (answer) => {
      span.end(codeOf(answer));
      reply(answer);
    };
  }
}

function codeOf({ req_type, code }: Answer): string | undefined {
  return req_type === "error" && typeof code === "string" ? code : undefined;
}
