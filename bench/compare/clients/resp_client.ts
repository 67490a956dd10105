/** Redis's protocol: GET and SET, over any number of connections. @module */
import { RespReplies } from "./resp_replies.ts";
import type { ClientSpec, Done, StoreClient } from "./store_client.ts";
import { TcpLink } from "./tcp_link.ts";
import { WaitingCalls } from "./waiting_calls.ts";

interface Connection {
  readonly link: TcpLink;
  readonly waiting: WaitingCalls;
}

/** Connects. */
export async function respClient(
  { endpoints, connections }: ClientSpec,
  values: readonly string[],
): Promise<StoreClient> {
  const all: Connection[] = [];
  for (let i = 0; i < connections; i++) {
    const endpoint = endpoints[i % endpoints.length];
    if (endpoint === undefined) throw new Error("a client needs an endpoint");
    const link = await TcpLink.connect(endpoint);
    const waiting = new WaitingCalls();
    const replies = new RespReplies((error) => waiting.answer(error));
    link.start({
      onBytes: (bytes) => replies.feed(bytes),
      onEnd: (reason) => waiting.end(reason),
    });
    all.push({ link, waiting });
  }
  const bulks = values.map((value) => `$${value.length}\r\n${value}\r\n`);
  const send = (slot: number, text: string, done: Done) => {
    const connection = all[slot % all.length];
    connection?.waiting.push(done);
    connection?.link.text(text);
  };
  return {
    get: (slot, key, done) => send(slot, `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`, done),
    put: (slot, key, value, done) =>
      send(slot, `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n${bulks[value]}`, done),
    close: () => all.forEach(({ link }) => link.close()),
  };
}
