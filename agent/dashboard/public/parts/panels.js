import { ApiError, call, token } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { numberText } from '../format.js';
import { alertsOf, drawAlerts } from './alerts.js';
import { openLogin } from './login.js';
import { toast } from './toast.js';

/** Alerts as last heard of. @type {import('./alerts.js').Alert[]} */
export let alerts = [];

/** Panels whose facts come from their own lists, asked for every few seconds. */
export async function refreshPanels() {
  await Promise.all([
    panel('alerts', '/v1/alerts', (answer) => {
      alerts = alertsOf(answer);
      return drawAlerts(alerts);
    }),
    panel('sessions', '/v1/sessions/stats', drawSessions),
  ]);
}

/** A part the agent does not have stays hidden. @param {string} id @param {string} path @param {(answer: any) => Node[]} draw */
async function panel(id, path, draw) {
  try {
    patch(byId(id), draw(await call('GET', path)));
    byId(id).hidden = false;
  } catch {
    if (!byId(id).hasChildNodes()) byId(id).hidden = true;
  }
}

/** Its repeats stop; it stays listed until it resolves. @param {string} id */
export async function acknowledge(id) {
  const again = () => void acknowledge(id);
  if (token.get() === null) {
    openLogin('', again);
    return;
  }
  try {
    await call('POST', `/v1/alerts/${encodeURIComponent(id)}/ack`, { by: 'dashboard' });
    toast('Acknowledged: it is not told again until it gets worse');
    await refreshPanels();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401)
      openLogin('The agent does not accept this token any more.', again);
    else toast(`Not done: ${error instanceof Error ? error.message : error}`, 'bad');
  }
}

/** @param {any} answer */
function drawSessions(answer) {
  const states = Object.entries(answer?.byState ?? {}).filter(([, count]) => typeof count === 'number');
  const moves = Number(answer?.moves ?? 0);
  return [
    h('div', { class: 'card-head' }, h('h2', { id: 'sessions-title' }, 'Governance sessions')),
    states.length === 0
      ? h('p', { class: 'empty' }, 'None yet.')
      : h(
          'dl',
          { class: 'facts-list' },
          states.map(([state, count]) =>
            h('div', {}, h('dt', {}, state), h('dd', {}, numberText(Number(count)))),
          ),
          moves > 0 && h('div', {}, h('dt', {}, 'moved to another instance'), h('dd', {}, numberText(moves))),
        ),
  ];
}
