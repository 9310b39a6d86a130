import { h } from '../dom.js';
import { ageText, msText, numberText, percentText, stateText, whenText } from '../format.js';
import { pageHref } from '../page-link.js';
import { pill } from './icons.js';

/** @import { StatusInstance } from '../types.d.ts' */

/** @param {string} service @param {string} id */
export const manageButton = (service, id) =>
  h(
    'button',
    {
      type: 'button',
      class: 'quiet small',
      'data-action': 'manage',
      'data-service': service,
      'data-instance': id,
    },
    'Manage',
    h('span', { class: 'hidden' }, ` ${id}`),
  );

/** @param {StatusInstance} instance @param {number} at */
export function drawInstance(instance, at) {
  const { id, service, state, since, traffic } = instance;
  return h(
    'tr',
    { class: `instance ${state}`, 'data-key': id },
    h(
      'th',
      { scope: 'row' },
      h('a', { class: 'instance-name', href: pageHref({ service, instance: id }) }, id),
      h('span', { class: 'url' }, instance.url.replace(/^https?:\/\//, '')),
    ),
    h('td', { class: 'state' }, pill(state, stateText(state)), marks(instance)),
    h(
      'td',
      { class: 'reason', title: `since ${whenText(since)}` },
      reasonText(instance),
      h('span', { class: 'age' }, ` · ${ageText(at - since)}`),
    ),
    numberCell('Req/s', numberText(traffic.perSecond)),
    numberCell('Errors', percentText(traffic.errorPercent), isHighErrorRate(traffic.errorPercent)),
    numberCell('p95', msText(traffic.p95)),
    numberCell(
      'In flight',
      `${numberText(instance.inflight)}${instance.queued > 0 ? ` +${instance.queued}` : ''}${longLivedText(instance)}`,
    ),
    numberCell(
      'Weight',
      `${weightText(instance)}${instance.priority > 1 ? ` (backup ${instance.priority})` : ''}`,
    ),
    h('td', { class: 'manage' }, manageButton(service, id)),
  );
}

/** Breaker, admin state and origin when they are not the default. @param {StatusInstance} instance */
export function marks({ breaker, admin, origin, source }) {
  return [
    breaker !== 'closed' &&
      h(
        'span',
        { class: `mark ${breaker === 'open' ? 'bad' : 'warn'}` },
        `breaker ${breaker.replace('_', '-')}`,
      ),
    admin !== 'ready' && h('span', { class: 'mark note' }, `admin: ${admin}`),
    origin === 'api' && h('span', { class: 'mark note' }, 'registered'),
    origin === 'discovered' && h('span', { class: 'mark note', title: `listed by ${source}` }, 'discovered'),
  ];
}

/** @param {string} label @param {string} text @param {boolean} [wrong] */
export function numberCell(label, text, wrong = false) {
  return h('td', { class: `number${wrong ? ' wrong' : ''}`, 'data-label': label }, text);
}

/** @param {number | null} percent */
export const isHighErrorRate = (percent) => percent !== null && percent >= 1;

/**
 * The operator's weight, and the share of it that the agent leaves to a slow or failing instance.
 * @param {StatusInstance} instance
 */
export function weightText({ weight, outlier, latencyShare = 1 }) {
  const share = Math.min(outlier?.share ?? 1, latencyShare);
  return share === 1 ? String(weight) : `${weight} × ${Math.round(share * 100)} %`;
}

/** Open WebSockets, event streams and long polls. @param {StatusInstance} instance */
export const longLivedText = ({ longLived = 0 }) => (longLived > 0 ? ` · ${numberText(longLived)} long` : '');

/**
 * Of an instance that does worse than its peers: against what, and how much of the traffic it really gets.
 * @param {StatusInstance} instance
 */
export function reasonText({ reason, outlier, trafficPercent }) {
  if (!outlier) return reason;
  const evidence = reason.includes(outlier.evidence)
    ? reason
    : `${reason}; ${outlier.cause}: ${outlier.evidence}`;
  return trafficPercent === null
    ? evidence
    : `${evidence}; gets ${percentText(trafficPercent)} of the traffic`;
}
