/**
 * Which of our processes has the other end of a connection, or has sent a datagram: the kernel is asked (Linux), so
 * that it is known for encrypted ones too.
 *
 * @module
 */

/** Its two ends, of a socket or of what it has sent. */
export interface Ends {
  readonly from: Deno.NetAddr;
  /** Undefined for datagrams. */
  readonly to?: Deno.NetAddr;
}

const ANY_HOST = "0.0.0.0";

/** Looks for the owners of sockets. */
export class SocketOwners {
  readonly #processes: () => Iterable<readonly [name: string, pid: number]>;
  /** Senders of datagrams, by the socket's number in the kernel, which no two sockets have. */
  readonly #known = new Map<string, string>();

  constructor(processes: () => Iterable<readonly [name: string, pid: number]>) {
    this.#processes = processes;
  }

  /** @returns undefined if it is none of our processes */
  ownerOf({ from, to }: Ends): string | undefined {
    const inode = inodeOf(from, to);
    if (inode === undefined) return undefined;
    const known = this.#known.get(inode);
    if (known !== undefined) return known;
    for (const [name, pid] of this.#processes()) {
      if (!hasSocket(pid, inode)) continue;
      if (to === undefined) this.#known.set(inode, name);
      return name;
    }
    return undefined;
  }
}

/** An address as the kernel's tables have it: `0100007F:1F90`. */
function inTable({ hostname, port }: Pick<Deno.NetAddr, "hostname" | "port">): string {
  const hex = (value: number, digits: number) =>
    value.toString(16).toUpperCase().padStart(digits, "0");
  const bytes = hostname.split(".").map((byte) => hex(Number(byte), 2));
  return `${bytes.reverse().join("")}:${hex(port, 4)}`;
}

function inodeOf(from: Deno.NetAddr, to: Deno.NetAddr | undefined): string | undefined {
  const locals = [inTable(from)];
  if (to === undefined) locals.push(inTable({ hostname: ANY_HOST, port: from.port }));
  const remote = to === undefined ? undefined : inTable(to);
  const table = Deno.readTextFileSync(`/proc/net/${from.transport}`);
  for (const line of table.split("\n").slice(1)) {
    const [, local, there, , , , , , , inode] = line.trim().split(/\s+/);
    if (local === undefined || !locals.includes(local)) continue;
    if (remote === undefined || there === remote) return inode;
  }
  return undefined;
}

function hasSocket(pid: number, inode: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      if (linkOf(`${folder}/${name}`) === `socket:[${inode}]`) return true;
    }
  } catch (error) {
    // The process has ended.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    // It was closed meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return undefined;
  }
}
