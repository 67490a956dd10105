/**
 * The ratios as a picture: a bar for each row on a logarithmic scale, from 1 (as fast as the other),
 * the range of the rounds as a line, and the aim as a mark. Drawn by ECharts, as SVG, without a
 * browser.
 *
 * @module
 */
import { type EChartsCoreOption, init, use } from "echarts/core";
import { BarChart, CustomChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";
import type { RowResult } from "./comparison.ts";

const WIDTH = 1_000;
const ROW_HEIGHT = 34;
const FRAME_HEIGHT = 130;
const OURS = "#2a6fb0";
const SLOWER = "#c77d2b";
const LINE = "#222222";
const AIM = "#b3261e";

/** The picture, or undefined if nothing was compared. */
export function ratioChart(rows: readonly RowResult[], subtitle: string): string | undefined {
  const compared = rows.flatMap(({ title, theirs, ratio, aim }) =>
    ratio === undefined
      ? []
      : [{ label: `${title}\n${against(ratio.median, theirs?.store)}`, ratio, aim }]
  );
  if (compared.length === 0) return undefined;
  use([
    BarChart,
    CustomChart,
    ScatterChart,
    GridComponent,
    LegendComponent,
    TitleComponent,
    SVGRenderer,
  ]);
  const chart = init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: FRAME_HEIGHT + ROW_HEIGHT * compared.length,
  });
  try {
    chart.setOption(optionOf(compared, subtitle));
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

function against(ratio: number, store: string | undefined): string {
  return `${ratio.toFixed(2)} × ${store}`;
}

interface Compared {
  readonly label: string;
  readonly ratio: NonNullable<RowResult["ratio"]>;
  readonly aim: number | undefined;
}

function optionOf(compared: readonly Compared[], subtitle: string): EChartsCoreOption {
  return {
    animation: false,
    title: {
      text: "Operations per second, ours / theirs",
      subtext: subtitle,
      left: "center",
      textStyle: { fontSize: 15 },
    },
    legend: { bottom: 4, itemGap: 30, data: ["median", "range of the rounds", "aim"] },
    grid: { left: 470, right: 40, top: 60, bottom: 60 },
    xAxis: { type: "log", axisLabel: { formatter: "{value} ×" } },
    yAxis: {
      type: "category",
      inverse: true,
      data: compared.map(({ label }) => label),
      axisLabel: { fontSize: 10.5, width: 450, overflow: "break" },
    },
    series: [
      {
        name: "median",
        type: "bar",
        barWidth: 16,
        itemStyle: { color: OURS },
        data: compared.map(({ ratio: { median } }) => ({
          value: median,
          // A bar begins at 1, and goes to the left if we are slower.
          itemStyle: { color: median >= 1 ? OURS : SLOWER },
        })),
      },
      {
        name: "range of the rounds",
        type: "custom",
        z: 3,
        itemStyle: { color: LINE },
        renderItem: (_params: unknown, api: RangeApi) => {
          const row = api.value(0);
          const from = api.coord([api.value(1), row]);
          const to = api.coord([api.value(2), row]);
          const [x1 = 0, y1 = 0] = from;
          const [x2 = 0, y2 = 0] = to;
          return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: LINE, lineWidth: 2 } };
        },
        encode: { x: [1, 2], y: 0 },
        data: compared.map(({ ratio: { min, max } }, i) => [i, min, max]),
      },
      {
        name: "aim",
        type: "scatter",
        z: 4,
        symbol: "diamond",
        symbolSize: 11,
        itemStyle: { color: AIM },
        data: compared.flatMap(({ aim }, i) => aim === undefined ? [] : [[aim, i]]),
      },
    ],
  };
}

/** What ECharts gives to draw an item of our own. */
interface RangeApi {
  value(dimension: number): number;
  coord(point: readonly number[]): number[];
}
