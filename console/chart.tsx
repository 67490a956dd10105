/** @jsxImportSource preact */
/// <reference lib="dom" />
/** A live chart: lines over time. @module */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

/** One line. */
export interface Line {
  readonly label: string;
  readonly color: string;
  readonly values: (number | null)[];
}

const HEIGHT = 150;

export function Chart({ title, times, lines, format, theme }: {
  title: string;
  times: number[];
  lines: readonly Line[];
  format: (value: number | undefined) => string;
  /** Colours are other ones if it changes. */
  theme: string;
}) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  // Other lines need another plot; other values do not.
  const shape = lines.map(({ label, color }) => `${label} ${color}`).join();
  const data: uPlot.AlignedData = [times, ...lines.map(({ values }) => values)];

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    // A canvas needs colours that are resolved.
    const { color, borderTopColor } = getComputedStyle(element);
    const axis = {
      stroke: color,
      grid: { stroke: borderTopColor, width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, space: 80, size: 26, values: (_, splits) => splits.map(timeOf) },
          {
            ...axis,
            size: 62,
            space: 34,
            values: (_, splits) => splits.map((value) => format(value)),
          },
        ],
        series: [
          {},
          ...lines.map(({ label, color }) => ({
            label,
            stroke: color,
            width: 1.5,
            spanGaps: false,
            points: { show: false },
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: HEIGHT })
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, theme]);
  useEffect(() => plot.current?.setData(data));

  return (
    <figure class="chart" aria-label={title}>
      <figcaption>
        <b>{title}</b>
        <span class="legend">
          {lines.map(({ label, color, values }) => (
            <span key={label}>
              <Swatch color={color} />
              {label} <b>{format(values.at(-1) ?? undefined)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} class="plot" />
    </figure>
  );
}

/** `12:03:04` */
function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
}

export function Swatch({ color }: { color: string }) {
  return (
    <svg class="swatch" width="10" height="10" aria-hidden="true">
      <rect width="10" height="10" rx="2" fill={color} />
    </svg>
  );
}
