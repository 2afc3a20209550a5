// A live chart: bands stacked over time, the newest at the right edge, drawn as SVG that the style sheet colours.
import { areas, axisText, axisTop, compact, windowOf } from "./model.js";
import type { History } from "./model.js";

// The same purpose has the same colour everywhere; with more than eight, colours come again and the names tell them apart.
export const colourOf = (names: readonly string[], name: string) => `var(--c${(Math.max(0, names.indexOf(name)) % 8) + 1})`;

export interface ChartProps {
  label: string; // for those who do not see it
  history: History;
  names: readonly string[]; // the bands, from below
  colours: readonly string[];
}

export function Chart({ label, history, names, colours }: ChartProps) {
  const seconds = windowOf(history);
  const { top, step } = axisTop(history, names);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  return (
    <div class="chart" role="img" aria-label={label}>
      {/* The drawing is 100 wide and 100 high whatever its box; lines keep their width, and words stand beside it. */}
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        {ticks.map((tick) => (
          <line key={tick} class="grid" x1="0" x2="100" y1={100 - (100 * tick) / top} y2={100 - (100 * tick) / top} />
        ))}
        {/* The lowest is drawn last: the edge of an empty band lies on the one below it and must not hide that. */}
        {areas(history, names, seconds, top)
          .map((area, at) => (
            <g key={names[at]} style={{ color: colours[at] }}>
              <path class="band" d={area.band} />
              <path class="edge" d={area.edge} />
            </g>
          ))
          .reverse()}
      </svg>
      <div class="ticks" aria-hidden="true">
        {ticks.map((tick) => (
          <span key={tick} style={{ bottom: `${(100 * tick) / top}%` }}>
            {axisText(tick, top)}
          </span>
        ))}
      </div>
      <div class="times" aria-hidden="true">
        <span>{seconds < 60 ? `${seconds} s ago` : `${seconds / 60} min ago`}</span>
        <span>now</span>
      </div>
    </div>
  );
}

export interface LegendItem {
  name: string;
  value: number;
  colour: string;
}

export const Swatch = ({ colour }: { colour: string }) => <span class="swatch" style={{ background: colour }} aria-hidden="true" />;

export const Legend = ({ items }: { items: LegendItem[] }) => (
  <ul class="legend">
    {items.map((item) => (
      <li key={item.name}>
        <Swatch colour={item.colour} />
        {item.name} <strong>{compact(item.value)}</strong>
      </li>
    ))}
  </ul>
);
