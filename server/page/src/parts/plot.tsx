// Values with their intervals, an arm a row, and curves of percentiles. Plain SVG; colours come from the style sheet.
import type { JSX } from "preact";
import type { Figure } from "../shapes";

const [LEFT, RIGHT, ROW] = [130, 600, 26];

export interface Dot {
  name: string;
  figure: Figure | null;
  rounds?: number[];
}

/** From 0 to `most`, or to the largest of what is drawn. */
export function Dots(given: { title: string; dots: Dot[]; most?: number; written: (value: number) => string }): JSX.Element {
  const drawn = given.dots.map((dot) => ({ ...dot, figure: sane(dot.figure) }));
  const every = drawn.flatMap((dot) => [dot.figure?.value, dot.figure?.high, ...(dot.rounds ?? [])]);
  const step = given.most ? given.most / 4 : round(Math.max(...every.map((value) => value ?? 0), 1e-9) / 4);
  const most = 4 * step;
  const across = (value: number): number => LEFT + (Math.min(value, most) / most) * (RIGHT - LEFT);
  const bottom = given.dots.length * ROW + 6;
  const said = drawn.map((dot) => `${dot.name} ${valued(dot.figure, given.written)}`).join(", ");
  return (
    <figure class="plot">
      <figcaption>{given.title}</figcaption>
      <svg viewBox={`0 0 640 ${bottom + 18}`} role="img" aria-label={`${given.title}: ${said}`}>
        {[0, 1, 2, 3, 4].map((number) => (
          <g key={number}>
            <line class="grid" x1={across(number * step)} x2={across(number * step)} y1="2" y2={bottom} />
            <text x={across(number * step)} y={bottom + 14} text-anchor="middle">
              {number ? given.written(number * step) : "0"}
            </text>
          </g>
        ))}
        {drawn.map((dot, number) => (
          <Line key={dot.name} dot={dot} y={number * ROW + 16} across={across} colour={number % 4} />
        ))}
      </svg>
    </figure>
  );
}

/** What is no number there is not drawn. */
const sane = (figure: Figure | null): Figure | null => {
  const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
  return figure && { value: number(figure.value), low: number(figure.low), high: number(figure.high) };
};

/** The next larger number that reads well. */
const round = (value: number): number => {
  const tenth = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((one) => one * tenth >= value) ?? 10) * tenth;
};

function Line({ dot, y, across, colour }: { dot: Dot; y: number; across: (value: number) => number; colour: number }): JSX.Element {
  const { value, low, high } = dot.figure ?? { value: null, low: null, high: null };
  return (
    <g class={`arm${colour}`}>
      <text x={LEFT - 10} y={y + 4} text-anchor="end">
        {dot.name}
      </text>
      {dot.rounds?.map((one, number) => <circle key={number} class="round" cx={across(one)} cy={y} r="2.4" />)}
      {low === null || high === null ? null : <line class="interval" x1={across(low)} x2={across(high)} y1={y} y2={y} />}
      {value === null ? null : <circle class="value" cx={across(value)} cy={y} r="5" />}
    </g>
  );
}

export const valued = (figure: Figure | null | undefined, written: (value: number) => string): string => {
  if (!figure || figure.value === null) return "–";
  const { value, low, high } = figure;
  return low === null || high === null ? written(value) : `${written(value)} (${written(low)}–${written(high)})`;
};
