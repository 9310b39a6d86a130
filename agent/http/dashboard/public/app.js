import { setAgentTime } from './agent-clock.js';
import { call, latestOnly, token } from './api.js';
import { drawAgentPanel } from './components/agent-panel.js';
import { acknowledge, drawAlertsPanel } from './components/alerts.js';
import { drawBanner } from './components/banner.js';
import { watchCharts } from './components/chart.js';
import { drawEdgePanel } from './components/edge-panel.js';
import { drawEvents } from './components/events.js';
import { setUpExplain } from './components/explain.js';
import { refreshHistory, setUpHistory, showHistory, updateHistory } from './components/history-panel.js';
import {
  openInstanceDialog,
  setUpInstanceDialog,
  updateInstanceDialog,
} from './components/instance-dialog.js';
import { drawInstancePage } from './components/instance-page.js';
import { openLogin, setUpLogin } from './components/login-dialog.js';
import { drawServicePage } from './components/service-page.js';
import { drawServices, toggleExpanded } from './components/services-table.js';
import { refreshSessions, setUpSessions } from './components/sessions-table.js';
import { drawStrip } from './components/strip.js';
import { setUpTips } from './components/tip.js';
import { byId } from './dom.js';
import { followEventStream } from './event-stream.js';
import { ageText } from './format.js';
import { parseHash } from './page-link.js';
import { setUpTheme } from './theme.js';

/** @import { Page } from './page-link.js' */
/** @import { ApiInstance, Receivers, StatusDocument } from './types.d.ts' */

/** Data is late after this long without a message. */
const SILENCE_MS = 8_000;
/** Pause between drawings, in multiples of the time the last one took: drawing takes an eighth of the time at most. */
const PAUSE_FACTOR = 7;

/** @type {StatusDocument | null} */
let status = null;
/** What became of the last message to each receiver. @type {Receivers} */
let receivers = {};
/** The page that is shown. @type {Page} */
let page = {};
/** @type {{ shares: Map<string, number>, details: ApiInstance | null }} */
let loaded = { shares: new Map(), details: null };
const beginSubject = latestOnly();
let lastMessageAt = 0;
let disconnectReason = '';
let drawScheduled = false;
let pauseUntil = 0;

const filterText = /** @type {HTMLInputElement} */ (byId('filter-text'));
const filterBad = /** @type {HTMLInputElement} */ (byId('filter-bad'));

/** Draws once per animation frame at most. A hidden page updates only its banner and title. */
function draw() {
  if (drawScheduled || !status) return;
  drawScheduled = true;
  if (document.visibilityState === 'hidden') drawAll();
  else setTimeout(() => requestAnimationFrame(drawAll), pauseUntil - performance.now());
}

function drawAll() {
  drawScheduled = false;
  if (!status) return;
  const started = performance.now();
  drawBanner(status, silentMs(), receivers);
  if (document.visibilityState === 'hidden') return;
  byId('site').textContent = `site ${status.site}`;
  drawStrip(status, page);
  if (page.service === undefined) drawOverview(status);
  else drawSubject(status);
  updateHistory(status);
  updateInstanceDialog(status);
  const finished = performance.now();
  pauseUntil = finished + PAUSE_FACTOR * (finished - started);
}

/** @param {StatusDocument} status */
function drawOverview(status) {
  drawAlertsPanel(status.alerts);
  drawServices(status, { text: filterText.value, onlyBad: filterBad.checked });
  drawEvents(status);
  drawEdgePanel(status);
  drawAgentPanel(status);
}

/** @param {StatusDocument} status */
function drawSubject(status) {
  const { service = '', instance } = page;
  if (instance === undefined) drawServicePage(byId('subject'), status, service, loaded.shares);
  else drawInstancePage(byId('subject'), status, { service, instance }, loaded);
  document.title = `${instance ?? service} · ${document.title}`;
}

/** Shows the page that the address names. */
function openPage() {
  // A link to a part of the page does not change the page.
  if (location.hash !== '' && !location.hash.startsWith('#/')) return;
  const before = page;
  page = parseHash(location.hash);
  const moved = before.service !== page.service || before.instance !== page.instance;
  if (moved) loaded = { shares: new Map(), details: null };
  const overview = page.service === undefined;
  byId('overview').hidden = !overview;
  byId('subject').hidden = overview;
  /** @type {HTMLDetailsElement} */ (byId('event-details')).open = !overview;
  showHistory(page);
  drawNow();
  if (moved) scrollTo(0, 0);
  if (moved && !overview) void loadSubject();
}

/** Loads what the status document does not contain: intended shares and the last probe. */
async function loadSubject() {
  const { service, instance } = page;
  if (service === undefined) return;
  const isNewest = beginSubject();
  const route = status?.services.find(({ id }) => id === service)?.routes[0] ?? '/';
  const [explanation, details] = await Promise.all([
    call('GET', `/v1/explain?path=${encodeURIComponent(route)}`).catch(() => null),
    instance === undefined
      ? null
      : call(
          'GET',
          `/v1/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(instance)}`,
        ).catch(() => null),
  ]);
  if (!isNewest()) return;
  const candidates = explanation?.service === service ? explanation.candidates : [];
  loaded = {
    shares: new Map(candidates.map((/** @type {any} */ { id, sharePercent }) => [id, sharePercent])),
    details,
  };
  draw();
}

/** Draws without a pause, because the user waits for it. */
function drawNow() {
  pauseUntil = 0;
  drawScheduled = false;
  draw();
}

/** Time without data, milliseconds; 0 while connected. */
function silentMs() {
  const elapsedMs = Date.now() - lastMessageAt;
  return lastMessageAt > 0 && (disconnectReason || elapsedMs > SILENCE_MS) ? Math.max(1, elapsedMs) : 0;
}

function drawConnection() {
  const element = byId('connection');
  const silence = silentMs();
  const live = lastMessageAt > 0 && silence === 0;
  const text = connectionText(silence);
  if (element.textContent !== text) element.textContent = text;
  element.className = `connection ${live ? 'live' : 'lost'}`;
  element.title = live ? '' : disconnectReason;
  document.body.classList.toggle('stale', silence > 0);
  if (silence > 0 && status) drawBanner(status, silence, receivers);
}

/** @param {number} silence */
function connectionText(silence) {
  if (lastMessageAt === 0) return disconnectReason ? 'no answer, retrying' : 'connecting';
  return silence === 0 ? 'live' : `no data for ${ageText(silence)}, reconnecting`;
}

const stream = followEventStream('/v1/live', {
  token: token.get,
  onEvent(event, data) {
    if (event !== 'status') return;
    /** @type {StatusDocument} */
    const received = JSON.parse(data);
    status = received;
    setAgentTime(received.at);
    lastMessageAt = Date.now();
    disconnectReason = '';
    draw();
    drawConnection();
  },
  onDisconnect(why) {
    disconnectReason = why;
    drawConnection();
    if (why.endsWith('401')) openLogin('This agent requires a token for reading, too.');
  },
});

setInterval(drawConnection, 1_000);
document.addEventListener('visibilitychange', drawNow);
filterText.addEventListener('input', drawNow);
filterBad.addEventListener('change', drawNow);
byId('filter').addEventListener('submit', (event) => event.preventDefault());

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('[data-action]') : null;
  if (!button) return;
  const { action, service, instance, alert } = /** @type {HTMLElement} */ (button).dataset;
  if (action === 'close') button.closest('dialog')?.close();
  if (action === 'expand' && service) {
    toggleExpanded(service);
    drawNow();
  }
  if (action === 'sign') signInOrOut();
  if (action === 'acknowledge' && alert) void acknowledge(alert);
  if (action === 'manage' && status && service && instance) openInstanceDialog(status, service, instance);
});

document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]'))
    return;
  if (event.key === '/' && page.service === undefined) {
    event.preventDefault();
    filterText.focus();
  }
});

function signInOrOut() {
  if (token.get() === null) {
    openLogin();
    return;
  }
  token.set(null);
  drawSignButton();
  stream.reconnect();
}

function drawSignButton() {
  byId('sign').textContent = token.get() === null ? 'Sign in' : 'Sign out';
}

setUpTheme(byId('theme'));
setUpLogin(() => {
  drawSignButton();
  void refreshSessions();
  stream.reconnect();
});
setUpInstanceDialog();
setUpExplain();
setUpSessions();
setUpHistory();
watchCharts(byId('tip'));
setUpTips(byId('tip'));
addEventListener('hashchange', openPage);
openPage();
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').focus();
});
drawSignButton();

/** Runs `refresh` now and periodically while the page is visible. @param {() => Promise<void>} refresh @param {number} everyMs */
function poll(refresh, everyMs) {
  const run = () => document.visibilityState === 'visible' && void refresh();
  setInterval(run, everyMs);
  run();
}
poll(refreshSessions, 15_000);
poll(refreshHistory, 5_000);
poll(loadSubject, 5_000);
poll(async () => {
  const answer = await call('GET', '/v1/alerts?limit=1').catch(() => null);
  receivers = answer?.receivers ?? {};
}, 15_000);
