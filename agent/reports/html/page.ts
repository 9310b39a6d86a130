import { amount, count, formatDuration, instant, ms, percent, share } from '../format.ts';
import type { Report, ServiceReport } from '../report.ts';
import { allTargetsMet, missedTargets, verdict } from '../verdict.ts';
import { barChart, lineChart } from './chart.ts';
import { type Markup, markup } from './markup.ts';
import { availabilityStrips, budgetBars, incidentLanes, isDaily, slowestBars } from './strips.ts';
import { STYLE } from './style.ts';

const MAX_ROWS = 50;

/** A self-contained page. Its content security policy forbids scripts, fonts and requests. */
export function reportPage(report: Report): string {
  const title = `acgs-lb report, site ${report.site}`;
  return `<!doctype html>\n${markup`<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark"><title>${title}</title>${STYLE}</head><body><main>
<header><h1>${title}</h1>
<p>${instant(report.from)} to ${instant(report.to)} UTC (${formatDuration(report.to - report.from)}). Generated ${instant(report.generatedAt)} UTC.</p>
<p class="verdict ${allTargetsMet(report) ? 'ok' : 'miss'}">${mark(allTargetsMet(report))} ${verdict(report)}</p></header>
${report.services.length > 0 && body(report)}
${report.notes.length > 0 && section('notes', 'How to read this', markup`<ul>${report.notes.map((note) => markup`<li>${note}</li>`)}</ul>`)}
</main></body></html>`}\n`;
}

const mark = (good: boolean): Markup =>
  markup`<span class="mark-${good ? 'ok' : 'miss'}" aria-hidden="true">${good ? '✓' : '✗'}</span>`;

function section(id: string, title: string, content: Markup): Markup {
  return markup`<section id="${id}"><h2>${title}</h2>${content}</section>`;
}

function body(report: Report): Markup {
  return markup`${cards(report)}
${section('services', 'Services', serviceTable(report))}
${section('latency', 'Response time', latencyCharts(report))}
${section('availability', 'Availability', markup`<p class="lead">Availability, the share of requests that did not fail, against the target of ${percent(report.targets.availability, 1)}. Hover over a cell for its numbers.</p>${availabilityStrips(report)}<h3>Error budget used</h3><p class="lead">Downtime or failures that the target allows in this period, and the share that is used.</p>${budgetBars(report)}`)}
${section('traffic', 'Traffic', trafficCharts(report))}
${section('incidents', 'Incidents', incidentPart(report))}
${section('breakers', 'Breaker openings', breakerPart(report))}
${section('slowest', 'Slowest instances', slowestBars(report))}
${report.alerts.length > 0 && section('alerts', 'Alerts', alertTable(report))}`;
}

function cards(report: Report): Markup {
  const { total, services, targets, incidents, breakers } = report;
  const missed = missedTargets(report);
  const worst = services
    .filter(({ availability }) => availability)
    .sort((a, b) => (a.availability?.ratio ?? 1) - (b.availability?.ratio ?? 1))[0];
  const outages = incidents.filter(({ kind }) => kind === 'outage').length;
  const downs = incidents.filter(({ kind }) => kind === 'down').length;
  const card = (name: string, value: string, detail: string, good?: boolean) =>
    markup`<div class="card"><div class="label">${name}</div><div class="figure">${value}</div><div class="detail">${good !== undefined && mark(good)} ${detail}</div></div>`;
  return markup`<div class="cards">
${card('Requests', count(total.requests), `${amount(total.meanRate)} per second on average`)}
${card('Response time, p95', ms(total.latency?.p95 ?? null), missed.p95.length ? `above ${targets.p95Ms} ms: ${missed.p95.join(', ')}` : `every service within ${targets.p95Ms} ms`, missed.p95.length === 0)}
${card('Lowest availability', percent(worst?.availability?.ratio ?? null, 3), worst ? `${worst.service}; target ${percent(targets.availability, 1)}` : 'nothing recorded', missed.availability.length === 0)}
${card('Error rate', share(total.errorRate), missed.errors.length ? `above ${share(targets.errorRate)}: ${missed.errors.join(', ')}` : `every service within ${share(targets.errorRate)}`, missed.errors.length === 0)}
${card('Incidents', count(outages + downs), `${outages} ${outages === 1 ? 'service outage' : 'service outages'}, ${downs} ${downs === 1 ? 'instance failure' : 'instance failures'}`)}
${card('Breaker openings', count(breakers.reduce((sum, one) => sum + one.openings, 0)), breakers[0] ? `most: ${breakers[0].instance}` : 'none')}
</div>`;
}

function serviceTable({ services, targets }: Report): Markup {
  const cell = (text: string, miss: boolean) =>
    markup`<td class="num${miss ? ' miss' : ''}">${text}${miss && markup` <span class="mark-miss" aria-label="target missed">✗</span>`}</td>`;
  return markup`<div class="scroll"><table><thead><tr><th>Service</th><th class="num">Requests</th><th class="num">Mean<small>per s</small></th><th class="num">Peak<small>per s</small></th><th class="num">p50<small>ms</small></th><th class="num">p95<small>ms</small></th><th class="num">p99<small>ms</small></th><th class="num">Errors</th><th class="num">Availability</th><th class="num">Peak<small>in flight</small></th></tr></thead><tbody>
${services.map(
  ({ service, requests, meanRate, peakRate, latency, errorRate, availability, peakConcurrency }) =>
    markup`<tr><th scope="row">${service}</th><td class="num">${count(requests)}</td><td class="num">${amount(meanRate)}</td><td class="num">${amount(peakRate)}</td><td class="num">${amount(latency?.p50 ?? null)}</td>${cell(amount(latency?.p95 ?? null), (latency?.p95 ?? 0) > targets.p95Ms)}<td class="num">${amount(latency?.p99 ?? null)}</td>${cell(share(errorRate), (errorRate ?? 0) > targets.errorRate)}${cell(percent(availability?.ratio ?? null, 3), (availability?.ratio ?? 1) < targets.availability)}<td class="num">${count(peakConcurrency)}</td></tr>`,
)}</tbody></table></div>`;
}

function latencyCharts(report: Report): Markup {
  const target = { value: report.targets.p95Ms, label: `target for p95, ${report.targets.p95Ms} ms` };
  const chart = (title: string, series: Pick<ServiceReport, 'series'>, height: number) =>
    lineChart(
      { title, axis: 'ms', height, target, from: report.from, to: report.to, legend: height > 150 },
      buckets(report, series),
      (['p99', 'p95', 'p50'] as const).map((name, index) => ({
        name,
        style: `s${index + 1}`,
        values: series.series.map((one) => one[name]),
      })),
    );
  return markup`${chart('All services', report.total, 220)}
<div class="grid2">${report.services.map((service) => chart(service.service, service, 120))}</div>`;
}

const buckets = (report: Report, { series }: Pick<ServiceReport, 'series'>) => ({
  starts: series.map(({ start }) => start),
  bucket: report.bucket,
  gaps: series.map(({ gap }) => gap),
});

function trafficCharts(report: Report): Markup {
  const per = isDaily(report) ? 'day' : 'hour';
  const frame = { from: report.from, to: report.to };
  const services = report.services.map((service, index) =>
    lineChart(
      { ...frame, title: service.service, axis: 'requests per second', height: 100, legend: index === 0 },
      buckets(report, service),
      [
        { name: 'peak (10 s)', style: 's2', values: service.series.map(({ peakRate }) => peakRate) },
        { name: 'mean', style: 's3', area: true, values: service.series.map(({ meanRate }) => meanRate) },
      ],
    ),
  );
  return markup`${lineChart(
    { ...frame, title: 'All services', axis: 'requests per second', height: 200 },
    buckets(report, report.total),
    [
      {
        name: `mean of each ${per}`,
        style: 's3',
        area: true,
        values: report.total.series.map(({ meanRate }) => meanRate),
      },
    ],
  )}${barChart(
    { ...frame, title: 'Failed requests, all services', axis: `per ${per}`, height: 90, atLeast: 1 },
    buckets(report, report.total),
    [{ name: 'failed', style: 'bad', values: report.total.series.map(({ failures }) => failures) }],
  )}<div class="grid2">${services}</div>`;
}

function incidentPart(report: Report): Markup {
  const shown = report.incidents.slice(0, MAX_ROWS);
  if (shown.length === 0) return markup`<p class="none">No incident was recorded.</p>`;
  return markup`${incidentLanes(report)}<details${shown.length <= 12 && markup` open`}><summary>${shown.length < report.incidents.length ? `The newest ${shown.length} of ${report.incidents.length}` : 'All incidents'}</summary><div class="scroll"><table><thead><tr><th>Start, UTC</th><th>Duration</th><th>Service</th><th>Incident</th><th>Reason</th></tr></thead><tbody>
${shown.map(
  ({ start, end, seconds, service, instance, kind, reason }) =>
    markup`<tr${kind === 'outage' && markup` class="outage"`}><td>${instant(start)}</td><td>${formatDuration(seconds)}${end === null && ', ongoing'}</td><td>${service}</td><td>${kind === 'outage' ? markup`<strong>outage</strong>` : `${instance} ${kind}`}</td><td>${reason}</td></tr>`,
)}</tbody></table></div></details>`;
}

function breakerPart(report: Report): Markup {
  if (report.breakers.length === 0) return markup`<p class="none">None.</p>`;
  const { breakerSeries } = report;
  return markup`${barChart(
    {
      title: 'Openings',
      axis: `per ${isDaily(report) ? 'day' : 'hour'}, all instances`,
      height: 90,
      atLeast: 2,
      from: report.from,
      to: report.to,
    },
    { starts: breakerSeries.map(({ start }) => start), bucket: report.bucket, gaps: [] },
    [{ name: 'openings', style: 's2', values: breakerSeries.map(({ openings }) => openings) }],
  )}<div class="scroll"><table><thead><tr><th>Instance</th><th class="num">Openings</th><th>Last, UTC</th><th>Last reason</th></tr></thead><tbody>
${report.breakers.slice(0, MAX_ROWS).map(({ instance, openings, lastAt, lastReason }) => markup`<tr><th scope="row">${instance}</th><td class="num">${openings}</td><td>${instant(lastAt)}</td><td>${lastReason}</td></tr>`)}</tbody></table></div>`;
}

function alertTable({ alerts }: Report): Markup {
  return markup`<div class="scroll"><table><thead><tr><th>Start, UTC</th><th>Severity</th><th>Service</th><th>Message</th><th>Resolved, UTC</th></tr></thead><tbody>
${alerts
  .slice(0, MAX_ROWS)
  .map(
    ({ startedAt, severity, service, instance, message, resolvedAt }) =>
      markup`<tr><td>${instant(startedAt)}</td><td>${severity}</td><td>${instance || service || 'host'}</td><td>${message}</td><td>${resolvedAt === null ? 'not yet' : instant(resolvedAt)}</td></tr>`,
  )}</tbody></table></div>`;
}
