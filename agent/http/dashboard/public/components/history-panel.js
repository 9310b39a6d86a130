import { agentNow } from '../agent-clock.js';
import { call, errorText, latestOnly } from '../api.js';
import { historyCharts, liveCharts } from '../chart-specs.js';
import { byId, h, patch } from '../dom.js';
import { whenText } from '../format.js';
import { marksOf } from '../markers.js';
import { LIVE, pageHref, RANGES } from '../page-link.js';
import { createPlots } from './plot.js';
import { drawEventList, drawLane } from './timeline.js';

/** @import { Charts } from '../chart-specs.js' */
/** @import { Page } from '../page-link.js' */
/** @import { HistoryAnswer, LoggedEvent, StatusDocument } from '../types.d.ts' */

const PAGE_OF_EVENTS = 200;
/** Most events in memory. A shorter period shows the others. */
const MAX_EVENTS = 1_000;
/** The shortest period that the agent accepts. */
const MIN_PERIOD_MS = 300_000;
const LABELS = /** @type {Record<string, string>} */ ({
  [LIVE]: 'Live 5 min',
  '15m': '15 min',
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '24 hours',
  '7d': '7 days',
  '30d': '30 days',
});

/** @type {Page} */
let page = {};
/** Of the shown page and range. @type {{ charts: Charts | null, events: LoggedEvent[], next: string | null, error: string, eventError: string, at: number }} */
let shown = emptyState();
/** @type {StatusDocument | null} */
let latest = null;
const beginLoading = latestOnly();
const beginEvents = latestOnly();
/** @type {ReturnType<typeof createPlots>} */
let plots;

function emptyState() {
  return { charts: null, events: [], next: null, error: '', eventError: '', at: 0 };
}

const kind = () => /** @type {HTMLSelectElement} */ (byId('event-kind'));

export function setUpHistory() {
  plots = createPlots(byId('plots'), {
    onZoom(from, to) {
      if (isLive()) return;
      const short = Math.max(0, MIN_PERIOD_MS - (to - from)) / 2;
      location.hash = pageHref({
        ...subject(),
        since: Math.floor(from - short),
        until: Math.ceil(to + short),
      });
    },
  });
  kind().addEventListener('change', drawEvents);
  byId('lane').addEventListener('click', (event) => {
    const key =
      event.target instanceof Element
        ? event.target.closest('[data-event]')?.getAttribute('data-event')
        : null;
    if (key) goToEvent(key);
  });
  byId('history').addEventListener('click', (event) => {
    if (event.target instanceof Element && event.target.closest('[data-action="older-events"]'))
      void loadOlder();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.redraw());
  new MutationObserver(() => plots.redraw()).observe(document.documentElement, {
    attributeFilter: ['data-theme'],
  });
}

/** @param {string} key */
function goToEvent(key) {
  kind().value = '';
  /** @type {HTMLDetailsElement} */ (byId('event-details')).open = true;
  drawEvents();
  const line = byId('event-list').querySelector(`li[data-key="${CSS.escape(key)}"]`);
  if (line instanceof HTMLElement) line.focus();
}

/** The service and instance of the page. */
function subject() {
  const { service, instance } = page;
  return { ...(service ? { service } : {}), ...(service && instance ? { instance } : {}) };
}

/** An instance has no live figures: the status has only its current rates. */
const rangeOf = () => (page.since === undefined ? (page.range ?? (page.instance ? '1h' : LIVE)) : 'custom');
const isLive = () => rangeOf() === LIVE && !page.instance;

/** @param {Page} next */
export function showHistory(next) {
  page = next;
  shown = emptyState();
  plots.clear();
  drawRanges();
  draw();
  void refreshHistory(true);
}

/** @param {StatusDocument} status */
export function updateHistory(status) {
  latest = status;
  if (isLive()) draw();
}

/** How often a range is loaded again, milliseconds. */
function refreshMs() {
  const range = rangeOf();
  if (range === 'custom') return (page.until ?? 0) > agentNow() ? 60_000 : Number.POSITIVE_INFINITY;
  const length = RANGES[/** @type {keyof typeof RANGES} */ (range)] ?? RANGES['1h'];
  return Math.max(15_000, Math.min(300_000, length / 120));
}

/** Loads the range again when it is old. @param {boolean} [now] */
export async function refreshHistory(now = false) {
  if (isLive() || (!now && Date.now() - shown.at < refreshMs())) return;
  shown.at = Date.now();
  const isNewest = beginLoading();
  try {
    /** @type {HistoryAnswer} */
    const answer = await call('GET', `/v1/history?${periodQuery()}`);
    if (!isNewest()) return;
    shown.charts = historyCharts(answer);
    shown.error = '';
    await loadEvents(shown.charts);
  } catch (error) {
    if (isNewest()) shown.error = errorText(error);
  }
  if (isNewest()) draw();
}

function periodQuery() {
  const query = new URLSearchParams(subject());
  if (page.since === undefined) query.set('window', rangeOf());
  else {
    query.set('since', String(page.since));
    query.set('until', String(page.until));
  }
  return query;
}

/** @param {{ from: number, to: number }} period @param {string | null} [before] */
function eventQuery({ from, to }, before = null) {
  const query = new URLSearchParams({
    ...subject(),
    since: String(from),
    until: String(to),
    limit: String(PAGE_OF_EVENTS),
  });
  if (before !== null) query.set('before', before);
  return `/v1/events?${query}`;
}

/** @param {Charts} period */
async function loadEvents(period) {
  const isNewest = beginEvents();
  try {
    const answer = await call('GET', eventQuery(period));
    if (!isNewest()) return;
    shown.events = answer?.events ?? [];
    shown.next = answer?.next ?? null;
    shown.eventError = '';
  } catch (error) {
    if (isNewest()) shown.eventError = errorText(error);
  }
}

async function loadOlder() {
  const { charts, next } = shown;
  if (!charts || next === null) return;
  const isNewest = beginEvents();
  try {
    const answer = await call('GET', eventQuery(charts, next));
    if (!isNewest()) return;
    shown.events = [...shown.events, ...(answer?.events ?? [])].slice(0, MAX_EVENTS);
    shown.next = shown.events.length < MAX_EVENTS ? (answer?.next ?? null) : null;
  } catch (error) {
    if (isNewest()) shown.eventError = errorText(error);
  }
  draw();
}

function drawRanges() {
  const current = rangeOf();
  const ranges = [...(page.instance ? [] : [LIVE]), ...Object.keys(RANGES)];
  patch(
    byId('ranges'),
    ranges.map((range) =>
      h(
        'a',
        {
          href: pageHref({ ...subject(), range }),
          'data-key': range,
          'aria-current': range === current ? 'true' : null,
        },
        LABELS[range],
      ),
    ),
    page.since !== undefined &&
      page.until !== undefined &&
      h(
        'span',
        { class: 'custom-range', 'data-key': 'custom' },
        `${whenText(page.since)} – ${whenText(page.until)}`,
      ),
  );
}

/** The charts and events of the last five minutes. @param {StatusDocument} status */
function liveState(status) {
  const service = status.services.find(({ id }) => id === page.service);
  const charts = liveCharts(service?.traffic ?? status.total, status.at);
  const events = status.changes.filter(
    (change) => change.at >= charts.from && (page.service === undefined || change.service === page.service),
  );
  return { ...emptyState(), charts, events };
}

function draw() {
  if (isLive() && latest) shown = liveState(latest);
  const { charts, error } = shown;
  patch(
    byId('history-state'),
    error !== '' && h('p', { class: 'error', role: 'alert' }, `${error}. Live figures continue.`),
    error === '' && charts === null && h('p', { class: 'empty' }, 'Loading…'),
    charts?.charts.length === 0 && h('p', { class: 'empty' }, 'No data in this period.'),
  );
  byId('lane').hidden = charts === null;
  if (charts) {
    const marks = marksOf(shown.events, charts.from, charts.to);
    plots.update(charts, marks);
    drawLane(byId('lane'), marks, charts);
  }
  drawEvents();
}

function drawEvents() {
  drawEventList(byId('event-list'), {
    events: shown.events,
    kind: kind().value,
    more: shown.next !== null,
    error: shown.eventError,
  });
}
