/**
 * Commands about a node of the cluster: `forget-node`. What tells of all nodes is in `command_table.ts`.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { printEither } from "./operation_commands.ts";
import { isYes } from "./scan_commands.ts";

const FORGET_FIELDS = {
  yes: described("Do not ask", optional(flag)),
  force: described(
    "Also if only its replicas have all acknowledged writes; what others lack is lost",
    optional(flag),
  ),
};

/** The rows of the table. */
export const NODE_COMMANDS: readonly Command[] = [
  {
    name: "forget-node",
    arguments: [{ name: "NODE-ID", about: "as list-nodes shows it" }],
    options: ["json", "timeoutMs"],
    own: wordFields(FORGET_FIELDS),
    help: "remove a node that is down and will not come back from the list; asks at a terminal",
    answers: "the partitions that are served from replicas that may lack writes (with --force)",
    example: "forget-node 4bac27231e730f85",
    run: runForgetNode,
  },
];

async function runForgetNode(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const id = args[0]?.text ?? "";
  const { force = false, yes }: { force?: boolean; yes?: boolean } = ownValues(
    "forget-node",
    wordFields(FORGET_FIELDS),
    given,
  );
  const client = await context.client();
  if (yes !== true && io.ask !== undefined) {
    const node = (await client.listNodes()).find((listed) => listed.id === id);
    const name = node === undefined ? id : `${id} (${formatAddress(node)}, ${node.state})`;
    const loss = force ? " What only it holds is LOST." : "";
    const answer = await io.ask(`Forget node ${name} for good?${loss} (yes/no) `, signal);
    if (!isYes(answer)) {
      throw new KvError("bad_request", "forget-node: not confirmed; nothing was done");
    }
  }
  const { forced, revoked } = await client.forgetNode(id, {
    force,
    timeoutMs: settings.timeoutMs,
    signal,
  });
  const lines = forced.map(({ partition, node, term, lastSeq }) =>
    `partition ${partition}: node ${node} serves, from a replica of term ${term} with writes up to ` +
    `seq ${lastSeq}\n`
  );
  const certificates = revoked.length === 0 ? "" : ", and its certificates are revoked";
  const text = `node ${id} is forgotten${certificates}\n${lines.join("")}`;
  await printEither(context, { forgotten: id, forced, revoked }, text);
  return EXIT.ok;
}
