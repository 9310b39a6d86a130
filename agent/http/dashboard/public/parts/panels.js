import { ApiError, call, token } from '../api.js';
import { byId, patch } from '../dom.js';
import { alertsOf, drawAlerts } from './alerts.js';
import { openLogin } from './login.js';
import { toast } from './toast.js';

/** Alerts as last heard of. @type {import('./alerts.js').Alert[]} */
export let alerts = [];

/** What comes from a list of its own, asked for every few seconds. */
export async function refreshPanels() {
  await panel('alerts', '/v1/alerts', (answer) => {
    alerts = alertsOf(answer);
    return drawAlerts(alerts);
  });
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
