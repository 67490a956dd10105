/** SUBSCRIBE, PUBLISH, PUBSUB and their kin. @module */
import { at, SYNTAX_ERROR, textOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  type ChannelKind,
  command,
  CommandError,
  type CommandSession,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";

import { mayHearChannel, mayHearChannels } from "../command/key_channels.ts";

const NO_PERMISSION = "NOPERM No permissions to access a channel";

/** A channel is text, as a key is. @throws {CommandError} */
function channelOf(argument: Uint8Array): string {
  const text = textOf(argument);
  if (text.includes("\ufffd")) throw new CommandError("ERR a channel must be valid UTF-8");
  return text;
}

/** The longest text with which all that a pattern matches begins. */
function beginningOf(pattern: string): string {
  return /^[^*?[\\]*/.exec(pattern)?.[0] ?? "";
}

function mayHear({ login }: CommandSession, kind: ChannelKind, name: string): boolean {
  return kind === "pattern"
    ? mayHearChannels(login, beginningOf(name))
    : mayHearChannel(login, name);
}

function subscribe(kind: ChannelKind, word: string) {
  return (args: Arguments, { out, session, server }: Call): void => {
    const names = args.slice(1).map(channelOf);
    if (!names.every((name) => mayHear(session, kind, name))) throw new CommandError(NO_PERMISSION);
    for (const name of names) {
      try {
        server.pubSub.local.add(session, kind, name);
      } catch (error) {
        // The channels before it have been answered.
        if (!(error instanceof CommandError)) throw error;
        out.error(error.message);
        continue;
      }
      out.push(3);
      out.bulkText(word);
      out.bulkText(name);
      out.integer(server.pubSub.local.count(session, kind));
    }
  };
}

function unsubscribe(kind: ChannelKind, word: string) {
  return (args: Arguments, { out, session, server }: Call): void => {
    const { local } = server.pubSub;
    const named = args.slice(1).map((argument) => textOf(argument));
    const names = named.length > 0 ? named : local.names(session, kind);
    for (const name of names.length > 0 ? names : [undefined]) {
      if (name !== undefined) local.remove(session, kind, name);
      out.push(3);
      out.bulkText(word);
      if (name === undefined) out.nil();
      else out.bulkText(name);
      out.integer(local.count(session, kind));
    }
  };
}

/** Checks the right. @throws {CommandError} */
function publishing(args: Arguments, { login }: CommandSession): [string, Uint8Array] {
  const channel = channelOf(at(args, 1));
  if (!login.mayUse("write", channel)) throw new CommandError(NO_PERMISSION);
  return [channel, at(args, 2)];
}

function publish(
  name: string,
  kind: "channel" | "shard",
  since: string,
  summary: string,
): CommandSpec {
  return command(name, 3, "pubsub loading stale fast", NO_KEYS, about(since, summary), {
    kind: "alone",
    run: (args, { session, server }, done) => {
      let channel: string;
      let message: Uint8Array;
      try {
        [channel, message] = publishing(args, session);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        const { message: text } = error;
        session.answer((out) => out.error(text));
        done();
        return;
      }
      server.pubSub.publish(kind, channel, message, (receivers) => {
        session.answer((out) => out.integer(receivers));
        done();
      });
    },
    // Nobody waits inside a transaction: it answers with the subscribers of this node.
    queued: () => ({
      kind: "now",
      run: (args, { out, session, server }) => {
        const [channel, message] = publishing(args, session);
        const here = server.pubSub.local.deliver(kind, channel, message.slice());
        server.pubSub.publishElsewhere(kind, channel, message.slice(), () => {});
        out.integer(here);
      },
    }),
  });
}

const about = (since: string, summary: string) => ({ group: "pubsub", since, summary });
const FLAGS = "pubsub noscript loading stale";
const hears = (
  name: string,
  arity: number,
  since: string,
  summary: string,
  run: (args: Arguments, call: Call) => void,
) => command(name, arity, FLAGS, NO_KEYS, about(since, summary), { kind: "now", run });

function asks(
  name: string,
  arity: number,
  summary: string,
  ask: (args: Arguments, call: Call, answer: (write: () => void) => void) => void,
): CommandSpec {
  return command(
    `pubsub|${name}`,
    arity,
    "pubsub loading stale",
    NO_KEYS,
    about("2.8.0", summary),
    {
      kind: "alone",
      run: (args, call, done) => {
        ask(args, call, (write) => {
          call.session.answer(write);
          done();
        });
      },
    },
  );
}

function channels(kind: "channel" | "shard") {
  return (args: Arguments, { out, server }: Call, answer: (write: () => void) => void): void => {
    if (args.length > 3) {
      const text = `ERR unknown subcommand or wrong number of arguments for '${
        textOf(at(args, 1))
      }'`;
      return answer(() => out.error(`${text}. Try PUBSUB HELP.`));
    }
    const pattern = args[2] === undefined ? undefined : textOf(args[2]);
    server.pubSub.counts(kind, { pattern }, ({ channels }) =>
      answer(() => {
        out.array(channels.length);
        for (const channel of channels) out.bulkText(channel);
      }));
  };
}

function numSub(kind: "channel" | "shard") {
  return (args: Arguments, { out, server }: Call, answer: (write: () => void) => void): void => {
    const names = args.slice(2).map((argument) => textOf(argument));
    server.pubSub.counts(kind, { channels: names }, ({ subscribers }) =>
      answer(() => {
        out.array(names.length * 2);
        names.forEach((name, i) => {
          out.bulkText(name);
          out.integer(subscribers[i] ?? 0);
        });
      }));
  };
}

/** The rows. */
export const PUBSUB_COMMANDS: readonly CommandSpec[] = [
  hears(
    "subscribe",
    -2,
    "2.0.0",
    "Listens for messages published to channels",
    subscribe("channel", "subscribe"),
  ),
  hears(
    "psubscribe",
    -2,
    "2.0.0",
    "Listens for messages published to channels that match patterns",
    subscribe("pattern", "psubscribe"),
  ),
  hears(
    "ssubscribe",
    -2,
    "7.0.0",
    "Listens for messages published to shard channels, of all nodes",
    subscribe("shard", "ssubscribe"),
  ),
  hears(
    "unsubscribe",
    -1,
    "2.0.0",
    "Stops listening to messages posted to channels",
    unsubscribe("channel", "unsubscribe"),
  ),
  hears(
    "punsubscribe",
    -1,
    "2.0.0",
    "Stops listening to messages published to channels that match patterns",
    unsubscribe("pattern", "punsubscribe"),
  ),
  hears(
    "sunsubscribe",
    -1,
    "7.0.0",
    "Stops listening to messages posted to shard channels",
    unsubscribe("shard", "sunsubscribe"),
  ),
  publish("publish", "channel", "2.0.0", "Posts a message to a channel, at all nodes"),
  publish("spublish", "shard", "7.0.0", "Posts a message to a shard channel, at all nodes"),
  {
    ...hears(
      "pubsub",
      -2,
      "2.8.0",
      "A container for Pub/Sub commands",
      (_args, { out }) => out.error(SYNTAX_ERROR),
    ),
    subcommands: [
      asks("channels", -2, "The channels with subscribers, of all nodes", channels("channel")),
      asks(
        "shardchannels",
        -2,
        "The shard channels with subscribers, of all nodes",
        channels("shard"),
      ),
      asks("numsub", -2, "How many subscribers channels have, at all nodes", numSub("channel")),
      asks(
        "shardnumsub",
        -2,
        "How many subscribers shard channels have, at all nodes",
        numSub("shard"),
      ),
      asks(
        "numpat",
        2,
        "How many patterns there are, of all nodes",
        (_args, { out, server }, answer) =>
          server.pubSub.counts(
            "channel",
            {},
            ({ patterns }) => answer(() => out.integer(patterns.length)),
          ),
      ),
    ],
  },
];
