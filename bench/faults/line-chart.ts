/** One line of a chart. Points are `[x, y]` in units of the axes. */
export interface ChartSeries {
  name: string;
  color: string;
  points: readonly (readonly [number, number])[];
}

export interface ChartOptions {
  title: string;
  xTitle: string;
  yTitle: string;
  series: readonly ChartSeries[];
}

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 56;
const RIGHT = 20;
const TOP = 44;
const BOTTOM = 44;

/** A line chart with axes and a legend, as SVG. Both axes begin at 0. */
export function lineChart({ title, xTitle, yTitle, series }: ChartOptions): string {
  const points = series.flatMap((one) => one.points);
  const ticksX = ticksTo(Math.max(1e-9, ...points.map(([x]) => x)));
  const ticksY = ticksTo(Math.max(1e-9, ...points.map(([, y]) => y)));
  const [maxX, maxY] = [ticksX.at(-1) ?? 1, ticksY.at(-1) ?? 1];
  const x = (value: number): string => (LEFT + (value / maxX) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y = (value: number): string =>
    (HEIGHT - BOTTOM - (value / maxY) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const grid = ticksY.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick)}" y2="${y(tick)}" stroke="#e3e5e8"/><text x="${LEFT - 6}" y="${Number(y(tick)) + 4}" text-anchor="end">${label(tick)}</text>`,
  );
  const labels = ticksX.map(
    (tick) => `<text x="${x(tick)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${label(tick)}</text>`,
  );
  const lines = series.map(
    (one) =>
      `<polyline fill="none" stroke="${one.color}" stroke-width="2" points="${one.points.map(([px, py]) => `${x(px)},${y(py)}`).join(' ')}"/>`,
  );
  const legend = series.map(
    (one, index) =>
      `<text x="${LEFT + index * 190}" y="34" fill="${one.color}">■ ${escapeXml(one.name)}</text>`,
  );
  const titles = [
    `<text x="${LEFT}" y="16" font-weight="bold">${escapeXml(title)}</text>`,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeXml(xTitle)}</text>`,
    `<text transform="translate(12 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yTitle)}</text>`,
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11"><title>${escapeXml(title)}</title><rect width="100%" height="100%" fill="#fff"/>${[...grid, ...labels, ...lines, ...legend, ...titles].join('')}</svg>\n`;
}

/** From 0 to the first tick at or above the value, in steps of 1, 2 or 5 × a power of ten: at most six ticks. */
function ticksTo(value: number): number[] {
  const power = 10 ** Math.floor(Math.log10(value / 5));
  const step = ([1, 2, 5].find((factor) => factor * power >= value / 5) ?? 10) * power;
  return Array.from({ length: Math.ceil(value / step - 1e-9) + 1 }, (_, index) => index * step);
}

const label = (value: number): string => String(Number(value.toPrecision(3)));

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', '');
