import { assertEquals } from "@std/assert";
import { RESYNC_CHUNK_ROWS } from "../../../../shared/limits/replication.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { Resync, type ResyncStream } from "../../../../node/replication/resync.ts";
import { RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** A resync from a store with some writes, of which few are remembered. */
function setUp(
  { writes = 3, full = false, mustAck = true, empty = false, filled, commit = 0 }: {
    writes?: number;
    full?: boolean;
    mustAck?: boolean;
    empty?: boolean;
    filled?: string;
    commit?: number;
  } = {},
) {
  const node = new RecordingNode();
  for (let seq = 1; seq <= writes; seq++) node.write(`k${`${seq}`.padStart(4, "0")}`, seq);
  node.recent.reset(writes);
  const stream: ResyncStream & { running: boolean } = {
    node: "n2",
    mustAck,
    running: true,
    isRunning: () => stream.running,
    send: (message) => node.ports.downstream.send("n2", message),
    onWork: () => {},
    onAllSent: () => void node.lines.push("all sent"),
    lacksTombstone: (seq) => seq < node.store.state.watermark,
    onTombstoneMissed: () => void node.lines.push("a tombstone missed"),
    onReadFailed: (error) => void node.lines.push(`failed: ${error}`),
    onDamageFound: () => void node.lines.push("damage"),
  };
  const { store, recent, ports } = node;
  const resync = new Resync(
    stream,
    { partition: 0, term: () => 1, stream: 1, store, recent, ports },
    {
      full,
      filled,
      followerCommitSeq: empty || full && filled === undefined ? undefined : commit,
    },
  );
  const begin = (info: { commit: number; unacknowledged?: readonly string[] }) =>
    resync.begin({
      req_type: "resync_info",
      p: 0,
      term: 1,
      stream: 1,
      last_term: 1,
      last: 0,
      ...info,
    });
  const chunks = () =>
    node.sent.filter(({ req_type }) => req_type === "resync_chunk") as Message<"resync_chunk">[];
  return { node, stream, resync, begin, chunks };
}

Deno.test("Resync: of the last writes the keys are known, and those that the replica doubts are sent as well", () => {
  const { node, begin, chunks, resync } = setUp();
  for (const [seq, key] of [[4, "a"], [5, "b"]] as const) {
    node.write(key, seq);
    node.recent.push(seq, key);
  }
  begin({ commit: 4, unacknowledged: ["k0001", "never here"] });
  const [chunk] = chunks();
  assertEquals(chunk?.entries.map(([key]) => key), ["b", "k0001"]);
  assertEquals([chunk?.absent, chunk?.seq], [["never here"], 5]);
  assertEquals([resync.entriesSent, node.takeLines().at(-1)], [3, "all sent"]);
});

Deno.test("Resync: what is too old to be remembered is looked for in the whole partition", async () => {
  const { node, begin, chunks } = setUp();
  begin({ commit: 1 });
  await node.settle();
  assertEquals(chunks().map(({ entries, full }) => [entries.map(([key]) => key), full]), [
    [["k0002", "k0003"], false],
  ]);
});

Deno.test("Resync: what is too old to be remembered is told by the journal, and what is not in it yet by the list of recent writes", async () => {
  const { node, begin, chunks } = setUp({ writes: 0 });
  node.storage.keepJournal();
  const write = (seq: number) => {
    node.write(`k${`${seq}`.padStart(4, "0")}`, seq);
    node.recent.push(seq, `k${`${seq}`.padStart(4, "0")}`);
  };
  for (let seq = 1; seq <= 30; seq++) {
    write(seq);
    await node.settle();
  }
  // On its way to the disk.
  write(31);
  let scans = 0;
  const { range } = node.storage;
  node.storage.range = (of) => {
    scans++;
    return range.call(node.storage, of);
  };
  begin({ commit: 10, unacknowledged: ["k0003"] });
  await node.clock.run(0);
  const keys = chunks().flatMap(({ entries }) => entries.map(([key]) => key)).sort();
  const wanted = Array.from({ length: 21 }, (_, i) => `k00${i + 11}`);
  assertEquals([keys, scans, node.takeLines().at(-1)], [["k0003", ...wanted], 0, "all sent"]);
});

Deno.test("Resync: the journal is not asked for what was not written here in order", async () => {
  const { node, begin, chunks } = setUp({ writes: 40 });
  node.storage.keepJournal();
  await node.settle();
  let asked = 0;
  const { writtenSince } = node.storage;
  node.storage.writtenSince = (...of) => {
    asked++;
    return writtenSince?.(...of) ?? Promise.resolve(undefined);
  };
  begin({ commit: 39 });
  await node.settle();
  assertEquals([asked, chunks().flatMap(({ entries }) => entries).length], [0, 1]);
});

Deno.test("Resync: for a replica that has nothing the journal is not read", async () => {
  const { node, begin, chunks, resync } = setUp({ writes: 0, empty: true });
  node.storage.keepJournal();
  for (let seq = 1; seq <= 30; seq++) {
    node.write(`k${`${seq}`.padStart(4, "0")}`, seq);
    node.recent.push(seq, `k${`${seq}`.padStart(4, "0")}`);
    await node.settle();
  }
  let asked = 0;
  node.storage.writtenSince = () => {
    asked++;
    return Promise.resolve(undefined);
  };
  begin({ commit: 0 });
  await node.settle();
  const sent = chunks().flatMap(({ entries }) => entries).length;
  assertEquals([asked, sent, resync.source], [0, 30, "data"]);
});

Deno.test("Resync: a journal that does not reach back leads to reading through the partition", async () => {
  const { node, begin, chunks, resync } = setUp({ writes: 0 });
  node.storage.keepJournal(2);
  for (let seq = 1; seq <= 30; seq++) {
    node.write(`k${`${seq}`.padStart(4, "0")}`, seq);
    node.recent.push(seq, `k${`${seq}`.padStart(4, "0")}`);
    await node.settle();
  }
  begin({ commit: 2 });
  await node.settle();
  assertEquals([chunks().flatMap(({ entries }) => entries).length, resync.source], [28, "data"]);
});

Deno.test("Resync: a replica that has nothing gets all of it, whatever tombstones are gone and wherever the journal ends", async () => {
  const { node, begin, chunks } = setUp({ writes: 0, empty: true });
  node.storage.keepJournal(2);
  for (let seq = 1; seq <= 30; seq++) {
    node.write(`k${`${seq}`.padStart(4, "0")}`, seq);
    node.recent.push(seq, `k${`${seq}`.padStart(4, "0")}`);
    await node.settle();
  }
  node.store.setState({ commitSeq: 30, watermark: 20 });
  begin({ commit: 0 });
  await node.settle();
  assertEquals(chunks().flatMap(({ entries }) => entries).length, 30);
});

Deno.test("Resync: everything is sent in pieces that meet, and only a bounded number before the replica has written some", async () => {
  const rows = 6 * RESYNC_CHUNK_ROWS;
  const { node, begin, chunks, resync } = setUp({ writes: rows, full: true });
  begin({ commit: 0 });
  await node.settle();
  assertEquals(chunks().length, 4);
  resync.onProgress(1);
  await node.settle();
  assertEquals(chunks().length, 5);
  for (let done = 2; done < 7; done++) {
    resync.onProgress(done);
    await node.settle();
  }
  const all = chunks();
  assertEquals(all.map(({ after }) => after), [
    undefined,
    ...all.slice(0, -1).map(({ upto }) => upto),
  ]);
  assertEquals(all.flatMap(({ entries }) => entries).length, rows);
  assertEquals([all.at(-1)?.upto, node.takeLines().at(-1)], [undefined, "all sent"]);
});

Deno.test("Resync: a replica that no write waits for gets one piece at a time", async () => {
  const { node, begin, chunks } = setUp({
    writes: 3 * RESYNC_CHUNK_ROWS,
    full: true,
    mustAck: false,
  });
  begin({ commit: 0 });
  await node.settle();
  assertEquals(chunks().length, 1);
});

Deno.test("Resync: nothing is sent once the stream is another one", async () => {
  const { node, stream, begin, chunks } = setUp({ full: true });
  begin({ commit: 0 });
  stream.running = false;
  await node.settle();
  assertEquals([chunks(), node.takeLines()], [[], []]);
});

Deno.test("Resync: of a part that is filled the difference is sent, then everything of the rest, and each piece of it says how far it goes", async () => {
  for (const remembered of [true, false]) {
    const { node, begin, chunks, resync } = setUp({
      writes: 2 * RESYNC_CHUNK_ROWS,
      full: true,
      filled: "k0003",
      commit: 2 * RESYNC_CHUNK_ROWS,
    });
    const { lastSeq } = node.store.state;
    // One in the filled part and one behind it are written after it was filled.
    for (const [at, key] of [[1, "k0002"], [2, "k0400"]] as const) {
      node.write(key, lastSeq + at);
      node.recent.push(lastSeq + at, key);
    }
    if (!remembered) node.recent.reset(lastSeq + 2);
    node.store.setState({ commitSeq: lastSeq + 1, watermark: 4 });
    begin({ commit: lastSeq, unacknowledged: ["k0001", "gone"] });
    for (let done = 1; done < 6; done++) {
      await node.settle();
      resync.onProgress(done);
    }
    await node.settle();
    const all = chunks();
    const difference = all.filter(({ full }) => !full);
    const rest = all.filter(({ full }) => full);
    const keysOf = (of: typeof all) => of.flatMap(({ entries }) => entries.map(([key]) => key));
    assertEquals([keysOf(difference).sort(), difference.flatMap(({ absent = [] }) => absent)], [
      ["k0001", "k0002"],
      ["gone"],
    ]);
    assertEquals([keysOf(rest)[0], keysOf(rest).length], ["k0004", lastSeq - 3]);
    assertEquals(all.slice(difference.length), rest, "the difference comes first");
    // Only what goes on from the filled part says that it fills.
    assertEquals(difference.map(({ commit }) => commit), difference.map(() => undefined));
    assertEquals(
      rest.map(({ upto, commit, watermark }) => [upto !== undefined, commit, watermark]),
      [
        [true, lastSeq + 1, 4],
        [false, undefined, undefined],
      ],
    );
    assertEquals(node.takeLines().at(-1), "all sent");
    assertEquals(resync.source, "rest");
  }
});

Deno.test("Resync: a tombstone that was dropped before the filled part was told of it is missed", async () => {
  const { node, begin, chunks } = setUp({ writes: 5, full: true, filled: "k0003", commit: 2 });
  begin({ commit: 2 });
  // Dropped while the pages are read.
  node.store.setState({ watermark: 3 });
  await node.settle();
  assertEquals([chunks().map(({ full }) => full), node.takeLines().at(-1)], [
    [false],
    "a tombstone missed",
  ]);
});
