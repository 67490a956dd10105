/**
 * HTTP/1.1 with keep-alive, one outstanding request per connection: our `/kv/{key}`, and etcd's gateway,
 * which accepts JSON with base64 and answers reads linearizably unless told otherwise.
 *
 * @module
 */
import { HttpReplies } from "./http_replies.ts";
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";
import { TcpLink } from "./tcp_link.ts";
import { WaitingCalls } from "./waiting_calls.ts";

/** Servers refuse host names that they do not know, so that no web page can point one at them. */
const HOST = "127.0.0.1";

type Send = (slot: number, request: string, done: Done) => void;

async function openConnections({ endpoints, connections }: ClientSpec) {
  const links: TcpLink[] = [];
  const queues: WaitingCalls[] = [];
  for (let i = 0; i < connections; i++) {
    const endpoint = endpoints[i % endpoints.length];
    if (endpoint === undefined) throw new Error("a client needs an endpoint");
    const link = await TcpLink.connect(endpoint);
    const waiting = new WaitingCalls();
    const replies = new HttpReplies((error) => waiting.answer(error));
    link.start({
      onBytes: (bytes) => replies.feed(bytes),
      onEnd: (reason) => waiting.end(reason),
    });
    links.push(link);
    queues.push(waiting);
  }
  const send: Send = (slot, request, done) => {
    const i = slot % links.length;
    queues[i]?.push(done);
    links[i]?.text(request);
  };
  return { send, close: () => links.forEach((link) => link.close()) };
}

/** Ours. */
export async function httpClient(
  spec: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const { send, close } = await openConnections(spec);
  const tails = values.map((value) =>
    ` HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: ${value.length}\r\n\r\n${value}`
  );
  return {
    get: (slot, key, done) => send(slot, `GET /kv/${key} HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`, done),
    put: (slot, key, value, done) => send(slot, `PUT /kv/${key}${tails[value]}`, done),
    close,
  };
}

/** etcd's gateway. */
export async function etcdHttpClient(
  spec: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const { send, close } = await openConnections(spec);
  const encoded = values.map((value) => btoa(value));
  const post = (path: string, body: string) =>
    `POST ${path} HTTP/1.1\r\nhost: ${HOST}\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`;
  return {
    get: (slot, key, done) => send(slot, post("/v3/kv/range", `{"key":"${btoa(key)}"}`), done),
    put: (slot, key, value, done) =>
      send(
        slot,
        post("/v3/kv/put", `{"key":"${btoa(key)}","value":"${encoded[value]}"}`),
        done,
      ),
    close,
  };
}
