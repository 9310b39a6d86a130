import { DAY_SECONDS } from '../../history/rollups/run.ts';
import { formatDuration, instant, percent } from '../format.ts';
import type { Incident } from '../incidents.ts';
import type { AvailabilityFigure, Report, ReportPoint, ServiceReport } from '../report.ts';
import { timeTicks } from './axes.ts';
import { type Markup, markup } from './markup.ts';

/** One row of cells per service; the color shows whether the availability target was met. */
export function availabilityStrips(report: Report): Markup {
  const { services, targets, from, to } = report;
  const cell = Math.max(report.bucket, Math.ceil((to - from) / 60 / 3_600) * 3_600);
  return markup`<div class="strips">${services.map((service) => {
    const cells = cellsOf(service, from, to, cell);
    return markup`<div class="name">${service.service}</div>
<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="availability of ${service.service} over time">
${cells.map(({ start, end, ratio }) => {
  const left = ((start - from) / (to - from)) * 1_000;
  const width = Math.max(((end - start) / (to - from)) * 1_000 - 2, 1);
  return markup`<rect class="cell ${styleOf(ratio, targets.availability)}" x="${left.toFixed(1)}" y="0" width="${width.toFixed(1)}" height="20"><title>${instant(start)} to ${instant(end)} UTC: ${ratio === null ? 'not recorded' : percent(ratio, 3)}</title></rect>`;
})}</svg>
<div class="value">${percent(service.availability?.ratio ?? null, 3)}</div>`;
  })}${axis(from, to)}</div>
<p class="legend boxes">${[
    ['met', `target met (${percent(targets.availability, 1)} or more)`],
    ['below', 'below target'],
    ['bad', 'below 95 %'],
    ['gap', 'not recorded'],
  ].map(
    ([style, name]) =>
      markup`<span><svg class="key" viewBox="0 0 24 10" aria-hidden="true"><rect class="cell ${style}" width="24" height="10"/></svg>${name}</span>`,
  )}</p>`;
}

const styleOf = (ratio: number | null, target: number): string =>
  ratio === null ? 'gap' : ratio >= target ? 'met' : ratio >= 0.95 ? 'below' : 'bad';

/** Combines buckets into cells: weighted by requests when availability is measured by requests, else equally. */
function cellsOf(service: ServiceReport, from: number, to: number, cell: number) {
  const groups = Map.groupBy(service.series, ({ start }) => Math.max(Math.floor(start / cell) * cell, from));
  return [...groups].map(([start, points]) => ({
    start,
    end: Math.min(Math.floor(start / cell) * cell + cell, to),
    ratio: weighted(points, service.availability?.basis ?? 'time'),
  }));
}

function weighted(points: readonly ReportPoint[], basis: AvailabilityFigure['basis']): number | null {
  const known = points.flatMap(({ availability, requests }) =>
    availability === null ? [] : [{ availability, weight: basis === 'time' ? 1 : (requests ?? 0) }],
  );
  const weight = known.reduce((sum, one) => sum + one.weight, 0);
  return weight === 0 ? null : known.reduce((sum, one) => sum + one.availability * one.weight, 0) / weight;
}

/** One bar per service: the share of its error budget that is used. */
export function budgetBars({ services }: Report): Markup {
  return markup`<div class="strips budget">${services.map(({ service, availability }) => {
    if (!availability)
      return markup`<div class="name">${service}</div><div class="none">nothing recorded</div><div></div>`;
    const { burned, used, allowed, basis } = availability;
    const part = Math.min(burned, 1) * 100;
    const amounts =
      basis === 'time'
        ? `${formatDuration(used * 60)} of ${formatDuration(allowed * 60)} down`
        : `${Math.round(used).toLocaleString('en-US')} of ${Math.round(allowed).toLocaleString('en-US')} failed`;
    return markup`<div class="name">${service}</div>
<div class="track"><div class="used ${burned > 1 ? 'bad' : burned > 0.75 ? 'below' : 'met'}" style="width:${part.toFixed(1)}%"></div></div>
<div class="value">${Number.isFinite(burned) ? `${(burned * 100).toFixed(0)} %` : 'all'} <small>${amounts}</small></div>`;
  })}</div>`;
}

/** One lane per service. Outages fill the lane; incidents of one instance are thinner. */
export function incidentLanes(report: Report): Markup {
  const { from, to, services } = report;
  const at = (time: number) => ((Math.min(Math.max(time, from), to) - from) / (to - from)) * 1_000;
  const bar = (one: Incident) => {
    const left = at(one.start);
    const width = Math.max(at(one.end ?? to) - left, 3);
    const full = one.kind === 'outage';
    return markup`<rect class="cell ${full ? 'bad' : one.kind === 'maintenance' ? 'calm' : 'below'}" x="${left.toFixed(1)}" width="${width.toFixed(1)}" y="${full ? 0 : 5}" height="${full ? 20 : 10}"><title>${one.instance ?? one.service} ${one.kind}, ${instant(one.start)} UTC, ${formatDuration(one.seconds)}: ${one.reason}</title></rect>`;
  };
  return markup`<div class="strips lanes">${services.map(({ service }) => {
    const own = report.incidents.filter((one) => one.service === service);
    return markup`<div class="name">${service}</div>
<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="incidents of ${service} over time"><rect class="lane" width="1000" height="20"/>${own.filter(({ kind }) => kind !== 'outage').map(bar)}${own.filter(({ kind }) => kind === 'outage').map(bar)}</svg>
<div class="value">${own.filter(({ kind }) => kind !== 'maintenance').length || 'none'}</div>`;
  })}${axis(from, to)}</div>
<p class="legend boxes">${[
    ['bad', 'service outage: no instance left'],
    ['below', 'one instance down'],
    ['calm', 'maintenance by an operator'],
  ].map(
    ([style, name]) =>
      markup`<span><svg class="key" viewBox="0 0 24 10" aria-hidden="true"><rect class="cell ${style}" width="24" height="10"/></svg>${name}</span>`,
  )}</p>`;
}

function axis(from: number, to: number): Markup {
  return markup`<div></div><div class="xs">${timeTicks(from, to).map(
    ({ at, label, minor }) =>
      markup`<span${minor && markup` class="minor"`} style="left:${(((at - from) / (to - from)) * 100).toFixed(2)}%">${label}</span>`,
  )}</div><div></div>`;
}

/** One bar per instance from p50 to p99, with a mark at p95. */
export function slowestBars(report: Report, atMost = 10): Markup {
  const slowest = report.instances.filter(({ latency }) => latency !== null).slice(0, atMost);
  if (slowest.length === 0) return markup`<p class="none">No latency was recorded.</p>`;
  const top = Math.max(...slowest.map(({ latency }) => latency?.p99 ?? 0), 1);
  const x = (value: number) => ((value / top) * 1_000).toFixed(1);
  return markup`<div class="strips slow">${slowest.map(({ service, instance, latency }) => {
    if (!latency) return null;
    const miss = latency.p95 > report.targets.p95Ms;
    return markup`<div class="name">${instance}<small>${service}</small></div>
<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="response times of ${instance}"><rect class="lane" width="1000" height="20"/><rect class="cell range" x="${x(latency.p50)}" y="5" width="${Math.max(Number(x(latency.p99)) - Number(x(latency.p50)), 2)}" height="10"/><rect class="mark ${miss ? 'bad' : ''}" x="${x(latency.p95)}" y="0" width="4" height="20"/></svg>
<div class="value">${Math.round(latency.p50)} / <strong>${Math.round(latency.p95)}</strong> / ${Math.round(latency.p99)}</div>`;
  })}</div><p class="legend boxes"><span><svg class="key" viewBox="0 0 24 10" aria-hidden="true"><rect class="cell range" width="24" height="10"/></svg>from p50 to p99</span><span><svg class="key" viewBox="0 0 24 10" aria-hidden="true"><rect class="mark" x="10" width="4" height="10"/></svg>p95</span><span>numbers: p50 / p95 / p99 in ms; full width: ${Math.round(top)} ms</span></p>`;
}

export const isDaily = (report: Report): boolean => report.bucket === DAY_SECONDS;
