import { agentNow } from '../agent-clock.js';
import { call, errorText, isUnauthorized, token } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { ageText, numberText, whenText } from '../format.js';
import { icon } from './icons.js';
import { openLogin, TOKEN_REJECTED } from './login-dialog.js';
import { toast } from './toast.js';

/** @import { ApiAlert } from '../types.d.ts' */

const MAX_ALERTS = 20;

/** Firing alerts, worst first. @param {ApiAlert[]} alerts */
export function drawAlertsPanel(alerts) {
  const panel = byId('alerts');
  patch(panel, drawAlerts(alerts));
  panel.hidden = false;
}

/** Stops the repeats of an alert; it stays listed until it resolves. @param {string} id */
export async function acknowledge(id) {
  const retry = () => void acknowledge(id);
  if (token.get() === null) {
    openLogin('', retry);
    return;
  }
  try {
    await call('POST', `/v1/alerts/${encodeURIComponent(id)}/ack`, { by: 'dashboard' });
    toast('Acknowledged: no repeats unless it gets worse');
  } catch (error) {
    if (isUnauthorized(error)) openLogin(TOKEN_REJECTED, retry);
    else toast(`Failed: ${errorText(error)}`, 'bad');
  }
}

/** @param {ApiAlert[]} list */
function drawAlerts(list) {
  return [
    h(
      'div',
      { class: 'card-head' },
      h('h2', { id: 'alerts-title' }, 'Alerts'),
      h('p', { class: 'muted' }, list.length === 0 ? '' : numberText(list.length)),
    ),
    list.length === 0
      ? h('p', { class: 'empty' }, 'No alerts are firing.')
      : h('ul', { class: 'findings plain' }, list.slice(0, MAX_ALERTS).map(drawAlert)),
  ];
}

/** @param {ApiAlert} alert */
function drawAlert({ id, service, severity, message, startedAt, silenced, acknowledgedAt, acknowledgedBy }) {
  const tone = severity === 'warning' ? 'warn' : 'bad';
  const acknowledged = acknowledgedAt !== null;
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': id },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h(
      'div',
      {},
      h('strong', {}, `${severity}${service ? `, ${service}` : ''}`),
      silenced && h('span', { class: 'mark note' }, 'silenced'),
      acknowledged && h('span', { class: 'mark note' }, `acknowledged by ${acknowledgedBy ?? 'unknown'}`),
      h('p', { class: 'why' }, message),
      h('p', { class: 'since' }, `since ${whenText(startedAt)} · ${ageText(agentNow() - startedAt)}`),
      !acknowledged &&
        h(
          'button',
          { type: 'button', class: 'quiet small', 'data-action': 'acknowledge', 'data-alert': id },
          'Acknowledge',
        ),
    ),
  );
}
