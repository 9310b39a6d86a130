import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Summary } from './summary.ts';

/** One contender under one fault. */
export interface ComparisonRow extends Summary {
  fault: string;
  faultTitle: string;
  peer: string;
  peerTitle: string;
}

export interface ComparisonSettings {
  instances: number;
  durationMs: number;
  rate: number;
  postShare: number;
}

const DOCS = join(import.meta.dirname, '../../docs');
const whole = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0));

/** The rows of one fault, as Markdown. */
export function comparisonTable(rows: readonly ComparisonRow[]): string {
  const [first] = rows;
  if (!first) return '';
  return [
    `### ${first.faultTitle}`,
    '',
    '| | GET failed / slow | POST failed / slow | p50 | p99 | p99.9 ms | last client hurt after | POSTs repeated |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map((row) =>
      [
        `| ${row.peerTitle}`,
        `${row.get.failed} / ${row.get.slow} of ${row.get.requests}`,
        `${row.post.failed} / ${row.post.slow} of ${row.post.requests}`,
        whole(row.p50),
        whole(row.p99),
        whole(row.p999),
        row.lastHurtSeconds === 0 ? '–' : `${row.lastHurtSeconds.toFixed(1)} s`,
        `${row.repeatedPosts} |`,
      ].join(' | '),
    ),
  ].join('\n');
}

/** Writes docs/comparison.md and its chart. */
export async function comparisonPage(
  rows: readonly ComparisonRow[],
  settings: ComparisonSettings,
): Promise<void> {
  const faults = [...Map.groupBy(rows, ({ fault }) => fault).values()];
  mkdirSync(join(DOCS, 'images'), { recursive: true });
  writeFileSync(join(DOCS, 'images/comparison.svg'), chart(faults));
  writeFileSync(
    join(DOCS, 'comparison.md'),
    `# Comparison with other load balancers

\`npm run compare -- --page\` writes this page. All contenders run at the same time on one machine,
each in front of its own ${settings.instances} instances, with ${settings.rate} requests a second in an open-loop Poisson process
(${Math.round(settings.postShare * 100)} % POST). Each fault strikes one instance for ${settings.durationMs / 1_000} s.

A request has failed when it ends with an error, a status from 400, a truncated body, or not within
10 s. It is slow when it takes more than 500 ms. No contender may repeat a POST that an instance may
have received: the last column counts violations.

The peers run with their best safe settings (\`bench/compare/peers/\`), acgs-lb with its defaults and
no rate limit.

![Requests that failed or were slow, by fault](images/comparison.svg)

${faults.map((fault) => comparisonTable(fault)).join('\n\n')}
`,
  );
}

const ROW_HEIGHT = 14;
const LABEL_WIDTH = 210;
const BAR_WIDTH = 420;

/** Horizontal bars on a logarithmic scale: one group a fault, one bar a contender. */
function chart(faults: readonly (readonly ComparisonRow[])[]): string {
  const hurt = ({ get, post }: ComparisonRow): number =>
    Math.max(get.failed, get.slow) + Math.max(post.failed, post.slow);
  const most = Math.max(10, ...faults.flat().map(hurt));
  const width = (count: number): number => (Math.log10(1 + count) / Math.log10(1 + most)) * BAR_WIDTH;
  const parts: string[] = [];
  let y = 20;
  for (const rows of faults) {
    parts.push(`<text x="4" y="${y}" font-weight="bold">${escapeXml(rows[0]?.faultTitle ?? '')}</text>`);
    y += 6;
    for (const row of rows) {
      const isOurs = row.peerTitle.startsWith('acgs-lb');
      parts.push(
        `<text x="${LABEL_WIDTH - 6}" y="${y + 10}" text-anchor="end">${escapeXml(row.peerTitle)}</text>`,
        `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${Math.max(1, width(hurt(row))).toFixed(1)}" height="${ROW_HEIGHT - 4}" fill="${isOurs ? '#0a7d4f' : '#8a8f98'}"/>`,
        `<text x="${(LABEL_WIDTH + width(hurt(row)) + 6).toFixed(1)}" y="${y + 10}">${hurt(row)}</text>`,
      );
      y += ROW_HEIGHT;
    }
    y += 24;
  }
  const size = `width="${LABEL_WIDTH + BAR_WIDTH + 60}" height="${y}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11"><title>Requests that failed or were slow, by fault and load balancer</title><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`;
}

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', '');
