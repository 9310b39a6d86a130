import { type BenchTable, baselineRounds, ratiosTo, readable } from './table.ts';

const ROW = 18;
const LABEL = 300;
const BAR = 330;
const WIDTH = LABEL + BAR + 130;

/** Colours of the light theme, then of the dark theme. The image brings its own background. */
const STYLE = `
  .back { fill: #ffffff } text { fill: #1f2328 } .minor { fill: #59636e }
  .ours { fill: #0a7d4f } .other { fill: #8a8f98 } .spread { stroke: #1f2328 } .base { stroke: #59636e }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .minor { fill: #9198a1 }
    .ours { fill: #3fb37f } .other { fill: #656c76 } .spread { stroke: #e6edf3 } .base { stroke: #9198a1 }
  }`;

/**
 * Horizontal bars, one group per table. A bar is the ratio to the baseline of its table; the thin line on it spans all
 * rounds; the dashed line is the baseline.
 */
export function barChart(title: string, tables: readonly BenchTable[]): string {
  const parts: string[] = [];
  let y = 24;
  for (const table of tables) {
    parts.push(...group(table, y));
    y += 14 + table.rows.length * ROW + 26;
  }
  const size = `width="${WIDTH}" height="${y - 10}" viewBox="0 0 ${WIDTH} ${y - 10}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="12"><title>${escapeXml(title)}</title><style>${STYLE}
</style><rect class="back" width="100%" height="100%"/>
${parts.join('\n')}
</svg>
`;
}

function group(table: BenchTable, top: number): string[] {
  const { title, unit, rows } = table;
  const base = baselineRounds(table);
  const bars = rows.map((row) => ({ ...row, ratios: ratiosTo(base, row.rounds) }));
  const most = Math.max(1, ...bars.flatMap(({ ratio, ratios }) => [ratio * 1.15, Math.min(...ratios)]));
  const x = (ratio: number): number => LABEL + (Math.min(Math.max(ratio, 0), most) / most) * BAR;
  const first = top + 12;
  return [
    `<text x="8" y="${top}" font-weight="600">${escapeXml(title)}</text><text class="minor" x="${WIDTH - 8}" y="${top}" text-anchor="end">${escapeXml(unit)}</text>`,
    ...bars.flatMap(({ what, value, ratio, ratios }, index) => {
      const y = first + index * ROW;
      const [low, high] = [x(Math.min(...ratios)), x(Math.max(...ratios))];
      const colour = what.startsWith('acgs-lb') || what.startsWith('edge') ? 'ours' : 'other';
      return [
        `<text x="${LABEL - 8}" y="${y + 12}" text-anchor="end">${escapeXml(what)}</text>`,
        `<rect class="${colour}" x="${LABEL}" y="${y + 2}" width="${Math.max(1, x(ratio) - LABEL).toFixed(1)}" height="${ROW - 5}"/>`,
        `<line class="spread" x1="${low.toFixed(1)}" x2="${high.toFixed(1)}" y1="${y + 8.5}" y2="${y + 8.5}"/>`,
        `<text x="${LABEL + BAR + 8}" y="${y + 12}">${readable(value).toLocaleString('en')} <tspan class="minor">× ${ratio.toFixed(2)}</tspan></text>`,
      ];
    }),
    `<line class="base" x1="${x(1).toFixed(1)}" x2="${x(1).toFixed(1)}" y1="${first}" y2="${first + rows.length * ROW}" stroke-dasharray="3 3"/>`,
  ];
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
