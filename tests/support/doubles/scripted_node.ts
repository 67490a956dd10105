/**
 * A server that answers as a test tells it to: for RpcClient and Router.
 *
 * @module
 */
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "./no_log.ts";
import type { Reply, Request } from "../../../shared/wire/messages.ts";
import { RequestServer } from "../../../shared/server/request_server.ts";
import type { Address, Listener } from "../../../shared/platform/transport.ts";
import type { MemoryNetwork } from "./memory_transport.ts";

/** A request that the script has not answered. */
export interface Held {
  request: Request;
  reply: (reply: Reply) => void;
}

/** What a script does with a request: answers, keeps it in `held`, or breaks the connection. */
export type Script = (request: Request) => Reply | "hold" | "break";

/** A fake node. */
export class ScriptedNode {
  readonly host: string;
  readonly address: Address;
  /** Requests other than `hello`, in order. */
  readonly seen: Request[] = [];
  hellos: Request[] = [];
  readonly held: Held[] = [];
  script: Script;
  /** What `hello` gets. */
  welcome: Reply | "hold" = { req_type: "ack" };
  readonly servers = new Set<RequestServer>();
  readonly #network: MemoryNetwork;
  #listener: Listener | undefined;

  constructor(network: MemoryNetwork, host: string, script: Script) {
    this.#network = network;
    this.host = host;
    this.address = { host, port: 1 };
    this.script = script;
  }

  async start(): Promise<this> {
    const { clock } = this.#network;
    this.#listener = await this.#network.transport(this.host).listen(this.address, (stream) => {
      const server = new RequestServer(stream, { clock, log: NO_LOG }, {
        onRequest: (request, reply) => this.#onRequest(request, reply, server),
        onClose: () => this.servers.delete(server),
      });
      this.servers.add(server);
    });
    return this;
  }

  /** The process is gone. */
  kill(): void {
    this.#network.crash(this.host);
    this.#listener = undefined;
    this.servers.clear();
  }

  push(message: object): void {
    for (const server of this.servers) server.connection.send(message);
  }

  #onRequest(request: Request, reply: (reply: Reply) => void, server: RequestServer): void {
    const isHello = request.req_type === "hello";
    (isHello ? this.hellos : this.seen).push(request);
    const answer = isHello
      ? this.welcome
      : request.req_type === "ping"
      ? PONG
      : this.script(request);
    if (answer === "hold") this.held.push({ request, reply });
    else if (answer === "break") server.connection.close();
    else reply(answer);
  }
}

const PONG: Reply = { req_type: "ack", message: "pong" };
