import { token } from './api.js';
import { byId } from './dom.js';
import { ageText } from './format.js';
import { withNews } from './news.js';
import { watchCharts } from './parts/chart.js';
import { setUpExplain } from './parts/explain.js';
import { drawFigures } from './parts/figures.js';
import { closeOnAction, openLogin, setUpLogin } from './parts/login.js';
import { openManage, refreshManage, setUpManage } from './parts/manage.js';
import { acknowledge, alerts, refreshPanels } from './parts/panels.js';
import { drawServices } from './parts/services.js';
import { drawAgent, drawEdge, drawEvents } from './parts/side.js';
import { drawVerdict } from './parts/verdict.js';
import { follow } from './stream.js';
import { setUpTheme } from './theme.js';

/** @import { LiveStatus } from './types.d.ts' */

/** @type {LiveStatus | null} */
let status = null;
let lastFrame = 0;
let lost = '';
let drawing = false;

const filterText = /** @type {HTMLInputElement} */ (byId('filter-text'));
const filterBad = /** @type {HTMLInputElement} */ (byId('filter-bad'));

/** At most one drawing a frame of the screen, and none while the page is hidden but for its title. */
function draw() {
  if (drawing || !status) return;
  drawing = true;
  const run = () => {
    drawing = false;
    if (!status) return;
    drawVerdict(status, alerts);
    if (document.visibilityState === 'hidden') return;
    byId('site').textContent = `site ${status.site}`;
    drawFigures(status);
    drawServices(status, { text: filterText.value, onlyBad: filterBad.checked });
    drawEvents(status);
    drawEdge(status);
    drawAgent(status);
    refreshManage(status);
  };
  if (document.visibilityState === 'hidden') run();
  else requestAnimationFrame(run);
}

function drawConnection() {
  const element = byId('connection');
  const silentMs = Date.now() - lastFrame;
  const live = lastFrame > 0 && !lost && silentMs < 8_000;
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
  document.body.classList.toggle('stale', lastFrame > 0 && !live);
}

const stream = follow('/v1/live?news', {
  token: token.get,
  frame(event, data) {
    if (event === 'status') status = JSON.parse(data);
    else if (status) status = withNews(status, JSON.parse(data));
    lastFrame = Date.now();
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
document.addEventListener('visibilitychange', draw);
filterText.addEventListener('input', draw);
filterBad.addEventListener('change', draw);
byId('filter').addEventListener('submit', (event) => event.preventDefault());

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('[data-action]') : null;
  if (!button) return;
  const { action, service, instance, alert } = /** @type {HTMLElement} */ (button).dataset;
  if (action === 'close') closeOnAction(button);
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
  stream.reconnect();
});
setUpManage();
setUpExplain();
watchCharts(byId('tip'));
showSigned();

const panels = () => document.visibilityState === 'visible' && void refreshPanels();
setInterval(panels, 5_000);
panels();
