import { token } from './api.js';
import { setAgentTime } from './clock.js';
import { byId } from './dom.js';
import { ageText } from './format.js';
import { watchCharts } from './parts/chart.js';
import { drawEvents } from './parts/events.js';
import { setUpExplain } from './parts/explain.js';
import { drawFigures } from './parts/figures.js';
import { closeOnAction, openLogin, setUpLogin } from './parts/login.js';
import { openManage, refreshManage, setUpManage } from './parts/manage.js';
import { acknowledge, alerts, refreshPanels } from './parts/panels.js';
import { drawServices, toggleAll } from './parts/services.js';
import { refreshSessions, setUpSessions } from './parts/sessions.js';
import { drawAgent, drawEdge } from './parts/side.js';
import { drawVerdict } from './parts/verdict.js';
import { follow } from './stream.js';
import { setUpTheme } from './theme.js';

/** @import { StatusDocument } from './types.d.ts' */

/** @type {StatusDocument | null} */
let status = null;
let lastFrame = 0;
let lost = '';
let drawing = false;

const filterText = /** @type {HTMLInputElement} */ (byId('filter-text'));
const filterBad = /** @type {HTMLInputElement} */ (byId('filter-bad'));

/** Of the time, drawing takes no more than an eighth: a page of hundreds of rows is drawn less often. */
const REST = 7;
let restUntil = 0;

/** At most one drawing a frame of the screen, and none while the page is hidden but for its title. */
function draw() {
  if (drawing || !status) return;
  drawing = true;
  if (document.visibilityState === 'hidden') run();
  else setTimeout(() => requestAnimationFrame(run), restUntil - performance.now());
}

function run() {
  drawing = false;
  if (!status) return;
  const began = performance.now();
  drawVerdict(status, alerts, silence());
  if (document.visibilityState === 'hidden') return;
  byId('site').textContent = `site ${status.site}`;
  drawFigures(status);
  drawServices(status, { text: filterText.value, onlyBad: filterBad.checked });
  drawEvents(status);
  drawEdge(status);
  drawAgent(status);
  refreshManage(status);
  const now = performance.now();
  restUntil = now + REST * (now - began);
}

/** A person waits for it. */
function drawNow() {
  restUntil = 0;
  drawing = false;
  draw();
}

/** For how long there has been no news, milliseconds; 0 while it comes. */
function silence() {
  const silentMs = Date.now() - lastFrame;
  return lastFrame > 0 && (lost || silentMs > 8_000) ? Math.max(1, silentMs) : 0;
}

function drawConnection() {
  const element = byId('connection');
  const silentMs = silence();
  const live = lastFrame > 0 && silentMs === 0;
  const text = live
    ? 'live'
    : lastFrame > 0
      ? `no news for ${ageText(silentMs)}, reconnecting`
      : lost
        ? 'no answer, trying again'
        : 'connecting';
  if (element.textContent !== text) element.textContent = text;
  element.className = `connection ${live ? 'live' : 'lost'}`;
  element.title = live ? '' : lost;
  document.body.classList.toggle('stale', silentMs > 0);
  if (silentMs > 0 && status) drawVerdict(status, alerts, silentMs);
}

const stream = follow('/v1/live', {
  token: token.get,
  frame(event, data) {
    if (event !== 'status') return;
    status = JSON.parse(data);
    lastFrame = Date.now();
    if (status) setAgentTime(status.at);
    lost = '';
    draw();
    drawConnection();
  },
  lost(why) {
    lost = why;
    drawConnection();
    if (why.endsWith('401')) openLogin('The agent asks for a token before it shows anything.');
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
  if (action === 'close') closeOnAction(button);
  if (action === 'all' && service) {
    toggleAll(service);
    drawNow();
  }
  if (action === 'sign') sign();
  if (action === 'acknowledge' && alert) void acknowledge(alert);
  if (action === 'manage' && status && service && instance) openManage(status, service, instance);
});

document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]'))
    return;
  if (event.key === '/') {
    event.preventDefault();
    filterText.focus();
  }
});

function sign() {
  if (token.get() === null) {
    openLogin();
    return;
  }
  token.set(null);
  showSigned();
  stream.reconnect();
}

function showSigned() {
  byId('sign').textContent = token.get() === null ? 'Sign in' : 'Sign out';
}

setUpTheme(byId('theme'));
setUpLogin(() => {
  showSigned();
  void refreshSessions();
  stream.reconnect();
});
setUpManage();
setUpExplain();
setUpSessions();
watchCharts(byId('tip'));
showSigned();

/** Asked for again and again, but not for a page nobody looks at. @param {() => Promise<void>} refresh @param {number} everyMs */
function keepFresh(refresh, everyMs) {
  const run = () => document.visibilityState === 'visible' && void refresh();
  setInterval(run, everyMs);
  run();
}
keepFresh(refreshPanels, 5_000);
keepFresh(refreshSessions, 15_000);
