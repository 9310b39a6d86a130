import { writeFileSync } from 'node:fs';
import { MAX_POLL_MS, MIN_POLL_MS, pollIntervalMs, REQUESTS_PER_POLL } from '../worker/snapshots/polling.ts';

/**
 * `node dev/costs.ts` writes docs/costs.md: the monthly bill of the edge at Cloudflare's list prices, computed from the
 * intervals in the code. A test checks that the page is current.
 */

/** Date of the last comparison with Cloudflare's price pages, which docs/costs.md links. */
const PRICES_CHECKED = '2026-11-28';
/** Workers Paid, USD: the price of a million, what the base fee includes per month, and what the free plan allows per day. */
const BASE_FEE = 5;
const PRICES = {
  'Worker requests': { perMillion: 0.3, included: 10e6, freePerDay: 100e3 },
  'Worker CPU (ms)': { perMillion: 0.02, included: 30e6, freePerDay: Number.POSITIVE_INFINITY },
  'Hub requests': { perMillion: 0.15, included: 1e6, freePerDay: 100e3 },
  'Hub duration (GB-s)': { perMillion: 12.5, included: 400e3, freePerDay: 13e3 },
  'Hub rows written': { perMillion: 1, included: 50e6, freePerDay: 100e3 },
  'KV reads': { perMillion: 0.5, included: 10e6, freePerDay: 100e3 },
  'KV writes': { perMillion: 5, included: 1e6, freePerDay: 1e3 },
} as const;
type Item = keyof typeof PRICES;
const ITEMS = Object.keys(PRICES) as Item[];
/** Everything but what clients cause. */
const SNAPSHOT_ITEMS = ITEMS.filter((item) => !item.startsWith('Worker'));

const DAY_SECONDS = 86_400;
const MONTH_DAYS = 30;
/** Processor time of one request (docs/edge.md), and time the Hub, with 128 MB, needs for one answer. */
const CPU_MS = 0.4;
const HUB_SECONDS = 0.001;
const HUB_GB = 0.125;
/** Default of `edge.publish.kvWritesPerDay`: as many snapshots a day as an agent writes to KV at most. */
const PUBLICATIONS_PER_DAY = 900;
/** The snapshot, the list of orders, twice the list of sites that KV lacks, and the alarm, which counts as one row. */
const ROWS_PER_PUBLICATION = 5;
/** Of one site: deployments, drains and failures. */
const STATE_CHANGES_PER_DAY = 20;
/** A new isolate reads each site from KV at most once. */
const ISOLATE_STARTS_PER_DAY = 24;

interface Traffic {
  name: string;
  /** Of each Cloudflare location (colo). */
  requestsPerSecond: number;
  isolates: number;
}

export const TRAFFIC: readonly Traffic[] = [
  { name: 'quiet', requestsPerSecond: 1 / 60, isolates: 1 },
  { name: 'busy', requestsPerSecond: 50, isolates: 4 },
];
const SITES = [1, 10, 100];
const COLOS = [1, 30, 300];

/**
 * Polls per second of a location whose sites change at random times: the mean of `1 / interval(age)`, where the age of the
 * last change is exponentially distributed. Of several isolates, the one with the most jitter polls for all.
 */
function pollsPerSecond(sites: number): number {
  const changesPerSecond = (sites * STATE_CHANGES_PER_DAY) / DAY_SECONDS;
  const shares = 2_000;
  const rates = Array.from({ length: shares }, (_, index) => {
    const ageSeconds = -Math.log(1 - (index + 0.5) / shares) / changesPerSecond;
    const pace = { changeAgeMs: ageSeconds * 1_000, hasDirectService: false, random: 1 };
    return 1_000 / pollIntervalMs(pace);
  });
  return rates.reduce((sum, rate) => sum + rate, 0) / shares;
}

/** What a day uses. Every location polls the Hub for all sites together while it has requests. */
export function dailyUse(sites: number, colos: number, traffic: Traffic): Record<Item, number> {
  const { requestsPerSecond, isolates } = traffic;
  const publications = sites * PUBLICATIONS_PER_DAY;
  const requests = colos * requestsPerSecond * DAY_SECONDS + publications;
  const byTraffic = requestsPerSecond / isolates / REQUESTS_PER_POLL;
  const polls = colos * Math.min(requestsPerSecond, Math.max(pollsPerSecond(sites), byTraffic)) * DAY_SECONDS;
  // Each publication is one request, and one alarm that writes KV.
  const hub = polls + 2 * publications;
  return {
    'Worker requests': requests,
    'Worker CPU (ms)': requests * CPU_MS,
    'Hub requests': hub,
    'Hub duration (GB-s)': hub * HUB_SECONDS * HUB_GB,
    'Hub rows written': publications * ROWS_PER_PUBLICATION,
    'KV reads': colos * isolates * sites * ISOLATE_STARTS_PER_DAY,
    'KV writes': publications,
  };
}

function costOf(item: Item, usedPerDay: number): number {
  const { included, perMillion } = PRICES[item];
  return (Math.max(0, usedPerDay * MONTH_DAYS - included) / 1e6) * perMillion;
}

/** USD per month for all of it, and for snapshots alone. */
export function monthlyBill(use: Record<Item, number>): { total: number; snapshots: number } {
  const sum = (items: readonly Item[]): number =>
    items.reduce((total, item) => total + costOf(item, use[item]), 0);
  return { total: BASE_FEE + sum(ITEMS), snapshots: sum(SNAPSHOT_ITEMS) };
}

/** The first item that exceeds the free plan; null: none does. */
export const freePlanLacks = (use: Record<Item, number>): Item | null =>
  ITEMS.find((item) => use[item] > PRICES[item].freePerDay) ?? null;

const money = (usd: number): string => `$${Math.round(usd).toLocaleString('en-US')}`;
const count = (value: number): string => Math.round(value).toLocaleString('en-US');

function row(sites: number, colos: number, traffic: Traffic): string {
  const use = dailyUse(sites, colos, traffic);
  const bill = monthlyBill(use);
  const lacking = freePlanLacks(use);
  const cells = [
    String(sites),
    String(colos),
    traffic.name,
    count(use['Hub requests']),
    lacking === null ? 'yes' : `no: ${lacking}`,
    money(bill.snapshots),
    money(bill.total),
  ];
  return `| ${cells.join(' | ')} |`;
}

const priceRow = (item: Item): string => {
  const { perMillion, included, freePerDay } = PRICES[item];
  const free = Number.isFinite(freePerDay) ? count(freePerDay) : '10 ms a request';
  return `| ${item} | $${perMillion} | ${count(included)} | ${free} |`;
};

export function costsPage(): string {
  const [quiet, busy] = TRAFFIC;
  const rows = SITES.flatMap((sites) =>
    COLOS.flatMap((colos) => TRAFFIC.map((traffic) => row(sites, colos, traffic))),
  );
  return `<!-- Generated by \`node dev/costs.ts\`; a test checks that it is current. -->
# What the edge costs

The monthly bill of one Worker on the Workers Paid plan, at Cloudflare's list prices, without tax. A
test computes this page from the intervals in the code.

- A location (colo) polls the Hub once for all sites, and only while it has requests. Its isolates
  share the answer in the location's cache. The interval grows from ${MIN_POLL_MS / 1_000} s after a change of an
  instance's state to ${MAX_POLL_MS / 1_000} s. Each site has ${STATE_CHANGES_PER_DAY} such changes a day.
- Without a cache, on workers.dev, each isolate polls by itself. Multiply the polls by the isolates.
- Signs of trouble, such as a late answer, add at most two polls a minute for each isolate.
- A new isolate reads each site from KV at most once. Each isolate is replaced ${ISOLATE_STARTS_PER_DAY} times a day.
- Quiet: ${count((quiet?.requestsPerSecond ?? 0) * 60)} request a minute in each location. Busy: ${busy?.requestsPerSecond} requests a second and ${busy?.isolates} isolates.
- A request takes ${CPU_MS} ms of processor time. An agent publishes ${PUBLICATIONS_PER_DAY} times a day, also to KV.
- Limits with \`scope: global\` are not included: each lease is one more Durable Object request.

| sites | colos | traffic | Hub requests a day | free plan | snapshots | total |
|---|---|---|---|---|---|---|
${rows.join('\n')}

The free plan allows 1,000 KV writes a day for the whole account: with n sites, set
\`edge.publish.kvWritesPerDay\` to less than 1,000 / n on each. Changes past that go to the Hub alone.

## Prices

Prices as of ${PRICES_CHECKED}, from Cloudflare's pages on
[Workers](https://developers.cloudflare.com/workers/platform/pricing/),
[Durable Objects](https://developers.cloudflare.com/durable-objects/platform/pricing/) and
[KV](https://developers.cloudflare.com/kv/platform/pricing/). Storage is left out: the included
5 GB hold over ten thousand snapshots of 1,000 instances.

| item | a million | included per month | free plan, per day |
|---|---|---|---|
${ITEMS.map(priceRow).join('\n')}
| Workers Paid plan | | | $${BASE_FEE} a month |
`;
}

if (import.meta.main) writeFileSync(new URL('../docs/costs.md', import.meta.url), costsPage());
