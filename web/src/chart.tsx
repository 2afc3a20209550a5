// A chart of lines or stacked bands over time, drawn by uPlot on a canvas that follows its box's width and the colour scheme.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { compact } from "./model.js";

export interface ChartProps {
  label: string; // for those who do not see it
  times: readonly number[];
  names: readonly string[];
  columns: readonly (readonly (number | null)[])[];
  colours: readonly string[]; // names of CSS properties
  stacked?: boolean;
  height?: number;
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const property = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A reader has no use for decimals of a count, nor for an axis from 0 to 0.
function range(_: uPlot, low: number | null, high: number | null): [number, number] {
  const top = Math.max(high ?? 0, 1);
  return [Math.min(low ?? 0, 0), top * 1.08];
}

function options(props: ChartProps, width: number): uPlot.Options {
  const axis = {
    stroke: property("--muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: property("--line"), width: 1 },
    ticks: { show: false },
  };
  const series = props.names.map((name, at): uPlot.Series => {
    const stroke = property(props.colours[at % props.colours.length] ?? "--accent");
    const filled = props.stacked === true || props.names.length === 1;
    return { label: name, stroke, width: 2, points: { show: false }, ...(filled ? { fill: `${stroke}${props.stacked ? "59" : "24"}` } : {}) };
  });
  // Bands of a stack: each from the top of the one below it.
  const bands = props.stacked ? props.names.slice(1).map((_, at) => ({ series: [at + 2, at + 1] as [number, number] })) : [];
  return {
    width,
    height: props.height ?? 180,
    cursor: { show: false },
    legend: { show: false },
    padding: [8, 8, 0, 0],
    scales: { x: { time: true }, y: { range } },
    axes: [
      { ...axis, size: 28, space: 90, values: (_, at) => at.map((s) => new Date(s * 1000).toLocaleTimeString("en-GB")) },
      { ...axis, size: 58, space: 36, values: (_, at) => at.map((value) => (Number.isInteger(value) ? compact(value) : "")) },
    ],
    series: [{}, ...series],
    bands,
  };
}

export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = `${props.names.join("\n")}|${props.stacked}|${props.height}`;
  const data = (): uPlot.AlignedData => [[...latest.current.times], ...latest.current.columns.map((column) => [...column])];

  useEffect(() => {
    const node = box.current;
    if (node === null) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(latest.current, Math.max(node.clientWidth, 100)), data(), node);
    };
    draw();
    const observer = new ResizeObserver(() => {
      const width = Math.max(node.clientWidth, 100);
      if (plot.current !== null && plot.current.width !== width) plot.current.setSize({ width, height: latest.current.height ?? 180 });
    });
    observer.observe(node);
    dark.addEventListener("change", draw);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data()), [props.times, props.columns]);

  return <div class="chart" ref={box} role="img" aria-label={props.label} style={{ height: `${props.height ?? 180}px` }} />;
}

export interface LegendItem {
  name: string;
  value: string;
  colour: string;
}

export const Legend = ({ items }: { items: LegendItem[] }) => (
  <ul class="legend">
    {items.map((item) => (
      <li key={item.name}>
        <span class="swatch" style={{ background: `var(${item.colour})` }} aria-hidden="true" />
        {item.name} <strong>{item.value}</strong>
      </li>
    ))}
  </ul>
);

// The same purpose has the same colour everywhere.
export const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
export const colourOf = (names: readonly string[], name: string) => PALETTE[Math.max(0, names.indexOf(name)) % PALETTE.length] ?? "--c1";
