/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Each partition as a square in the colour of its primary. @module */
import { useState } from "preact/hooks";
import type { ConsoleSnapshot } from "../shared/console/snapshot.ts";
import { colorOf } from "./colors.ts";

export function Partitions({ snapshot }: { snapshot: ConsoleSnapshot }) {
  const { partitions, nodes, cluster, facts } = snapshot;
  const [chosen, choose] = useState(0);
  const nameOf = (index: number) => nodes[index]?.address ?? "a node that is not on the list";
  const shown = partitions?.[chosen];
  return (
    <section aria-label="Partitions">
      <h2>Partitions</h2>
      <p class="facts">
        {cluster.partitions} partitions of {cluster.replicationFactor} replicas;{" "}
        <Fact value={facts.withoutPrimary} what="without a primary" />,{" "}
        <Fact value={facts.readOnly} what="refuse writes" />,{" "}
        <Fact value={facts.underReplicated} what="with too few replicas" />,{" "}
        <Fact value={facts.moves} what="replicas being filled" isFine />,{" "}
        <Fact value={facts.handovers} what="handed over now" isFine />
      </p>
      {partitions === undefined
        ? <p class="muted">Too many partitions to show each of them.</p>
        : (
          <div
            class="partitions"
            role="slider"
            tabIndex={0}
            aria-label="Partition"
            aria-valuemin={0}
            aria-valuemax={partitions.length - 1}
            aria-valuenow={chosen}
            onKeyDown={(event) => {
              const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 16, ArrowUp: -16 }[event.key];
              if (step === undefined) return;
              event.preventDefault();
              choose(Math.min(partitions.length - 1, Math.max(0, chosen + step)));
            }}
          >
            {partitions.map(([primary, followers, learners], i) => {
              const thin = 1 + followers.length < cluster.replicationFactor;
              const kind = primary < 0
                ? "none"
                : learners.length > 0
                ? "moving"
                : thin
                ? "thin"
                : "";
              return (
                <svg
                  key={i}
                  class={`partition ${kind} ${i === chosen ? "chosen" : ""}`}
                  viewBox="0 0 10 10"
                  onClick={() => choose(i)}
                >
                  <title>{`partition ${i}`}</title>
                  <rect width="10" height="10" fill={primary < 0 ? "none" : colorOf(primary)} />
                </svg>
              );
            })}
          </div>
        )}
      {shown !== undefined && (
        <p class="facts" aria-live="polite">
          partition <b>{chosen}</b>: primary{" "}
          <b>{shown[0] < 0 ? "nobody" : nameOf(shown[0])}</b>, followers{" "}
          <b>{shown[1].map(nameOf).join(", ") || "none"}</b>
          {shown[2].length > 0 && (
            <>
              , being filled <b>{shown[2].map(nameOf).join(", ")}</b>
            </>
          )}
        </p>
      )}
      <p class="key muted">
        <span class="sample thin" /> too few replicas <span class="sample moving" />{" "}
        a replica is being filled <span class="sample none" /> nobody is the primary
      </p>
    </section>
  );
}

function Fact({ value, what, isFine = false }: { value: number; what: string; isFine?: boolean }) {
  return (
    <span class={value > 0 && !isFine ? "bad" : ""}>
      <b>{value}</b> {what}
    </span>
  );
}
