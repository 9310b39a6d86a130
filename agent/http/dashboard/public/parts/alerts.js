import { agentNow } from '../clock.js';
import { h } from '../dom.js';
import { ageText, numberText, whenText } from '../format.js';
import { icon } from './icons.js';

/**
 * @typedef {{ id: string, rule: string, service: string, severity: 'warning' | 'critical' | 'emergency', message: string,
 *   startedAt: number, silenced: boolean, acknowledgedAt: number | null, acknowledgedBy: string | null }} Alert
 */

const RANK = { emergency: 0, critical: 1, warning: 2 };

/** What the API sent, worst first; anything that is no alert is passed over. @param {any} answer @returns {Alert[]} */
export function alertsOf(answer) {
  /** @type {any[]} */
  const all = Array.isArray(answer?.alerts) ? answer.alerts : [];
  return all
    .filter(({ severity }) => Object.hasOwn(RANK, severity))
    .sort((a, b) => RANK[/** @type {Alert} */ (a).severity] - RANK[/** @type {Alert} */ (b).severity]);
}

/** Those the verdict speaks of: not silenced, nobody has said that they know. @param {Alert[]} alerts */
export function alertFindings(alerts) {
  return alerts
    .filter(({ silenced, acknowledgedAt }) => !silenced && acknowledgedAt === null)
    .map(({ severity, message, startedAt }) => ({
      tone: /** @type {'bad' | 'warn'} */ (severity === 'warning' ? 'warn' : 'bad'),
      title: message,
      why: `${severity} alert`,
      since: startedAt,
    }));
}

/** @param {Alert[]} alerts */
export function drawAlerts(alerts) {
  return [
    h(
      'div',
      { class: 'card-head' },
      h('h2', { id: 'alerts-title' }, 'Alerts'),
      h('p', { class: 'muted' }, alerts.length === 0 ? '' : numberText(alerts.length)),
    ),
    alerts.length === 0
      ? h('p', { class: 'empty' }, 'No alert is firing.')
      : h('ul', { class: 'findings plain' }, alerts.slice(0, 20).map(drawAlert)),
  ];
}

/** @param {Alert} alert */
function drawAlert({ id, service, severity, message, startedAt, silenced, acknowledgedAt, acknowledgedBy }) {
  const tone = severity === 'warning' ? 'warn' : 'bad';
  const known = acknowledgedAt !== null;
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': id },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h(
      'div',
      {},
      h('strong', {}, `${severity}${service ? `, ${service}` : ''}`),
      silenced && h('span', { class: 'mark note' }, 'silenced'),
      known && h('span', { class: 'mark note' }, `acknowledged by ${acknowledgedBy ?? 'someone'}`),
      h('p', { class: 'why' }, message),
      h('p', { class: 'since' }, `since ${whenText(startedAt)} · ${ageText(agentNow() - startedAt)}`),
      !known &&
        h(
          'button',
          { type: 'button', class: 'quiet small', 'data-action': 'acknowledge', 'data-alert': id },
          'Acknowledge',
        ),
    ),
  );
}
