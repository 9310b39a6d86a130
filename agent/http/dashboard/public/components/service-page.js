import { h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText, stateText } from '../format.js';
import { pageHref } from '../page-link.js';
import { serving, toneOf, worstFirst } from '../services-layout.js';
import { factRow, tableHead } from './facts.js';
import { pill } from './icons.js';
import {
  isHighErrorRate,
  longLivedText,
  manageButton,
  marks,
  numberCell,
  reasonText,
} from './instance-row.js';

/** @import { StatusDocument, StatusInstance, StatusService } from '../types.d.ts' */
/** @typedef {ReadonlyMap<string, number>} Shares intended share of new traffic by instance, percent */

const MAX_ROWS = 200;
const HEADS = [
  'Instance',
  'State',
  'Reason',
  'Attempts/s',
  'Errors',
  'p50',
  'p95',
  'In flight',
  'Measured',
  'Intended',
  '',
];

/** @param {HTMLElement} element @param {StatusDocument} status @param {string} id @param {Shares} shares */
export function drawServicePage(element, status, id, shares) {
  const service = status.services.find((each) => each.id === id);
  if (!service) {
    patch(element, crumbs(id), h('p', { class: 'empty' }, `There is no service “${id}”.`));
    return;
  }
  patch(element, crumbs(id), head(service), figures(service), table(service, shares, status.at));
}

/** @param {string} service @param {string} [instance] */
export function crumbs(service, instance) {
  return h(
    'nav',
    { class: 'crumbs', 'aria-label': 'Breadcrumb' },
    h('a', { href: '#/' }, 'Overview'),
    h('span', { 'aria-hidden': 'true' }, '›'),
    instance === undefined
      ? h('span', { 'aria-current': 'page' }, service)
      : [
          h('a', { href: pageHref({ service }) }, service),
          h('span', { 'aria-hidden': 'true' }, '›'),
          h('span', { 'aria-current': 'page' }, instance),
        ],
  );
}

/** @param {StatusService} service */
function head(service) {
  const { id, routes, instances } = service;
  return h(
    'div',
    { class: 'card-head' },
    h('h2', { id: 'page-title', class: 'page-title', tabindex: -1 }, `Service ${id}`),
    h(
      'p',
      { class: `serving ${toneOf(service)}` },
      `${instances.filter(serving).length} of ${instances.length} serving`,
    ),
    h('p', { class: 'routes' }, routes.join('  ')),
  );
}

/** @param {StatusService} service */
function figures({ traffic, inflight, queued, maxconn, timeoutMs }) {
  return h(
    'dl',
    { class: 'facts-list wide-facts' },
    factRow(
      'Requests',
      `${numberText(traffic.requests)} in the last minute, ${numberText(traffic.perSecond)}/s`,
    ),
    factRow('Failed', `${numberText(traffic.failed)}, ${percentText(traffic.errorPercent)}`, {
      wrong: isHighErrorRate(traffic.errorPercent),
    }),
    factRow('Latency', `p50 ${msText(traffic.p50)}, p95 ${msText(traffic.p95)}, p99 ${msText(traffic.p99)}`),
    factRow(
      'Attempts',
      `${numberText(traffic.attempts)}, ${numberText(traffic.retries)} retries, ${numberText(traffic.hedges)} hedges`,
    ),
    factRow('Rate-limited', numberText(traffic.limited)),
    factRow(
      'In flight',
      `${numberText(inflight)}, ${numberText(queued)} queued; ${numberText(maxconn)} per instance`,
    ),
    factRow('Timeout', `${ageText(timeoutMs)} per attempt`),
  );
}

/** @param {StatusService} service @param {Shares} shares @param {number} at */
function table({ id, instances }, shares, at) {
  const rows = worstFirst(instances).slice(0, MAX_ROWS);
  return h(
    'table',
    { class: 'instances members' },
    h(
      'caption',
      { class: 'hidden' },
      `Instances of ${id}, worst first. Measured and intended are shares of the traffic.`,
    ),
    tableHead(HEADS, (index) => (index > 2 && index < 10 ? 'number' : null)),
    h(
      'tbody',
      {},
      rows.map((instance) => row(instance, shares, at)),
    ),
  );
}

/** @param {StatusInstance} instance @param {Shares} shares @param {number} at */
function row(instance, shares, at) {
  const { id, service, state, since, traffic, trafficPercent } = instance;
  return h(
    'tr',
    { class: `instance ${state}`, 'data-key': id },
    h(
      'th',
      { scope: 'row' },
      h('a', { class: 'instance-name', href: pageHref({ service, instance: id }) }, id),
    ),
    h('td', { class: 'state' }, pill(state, stateText(state)), marks(instance)),
    h(
      'td',
      { class: 'reason' },
      reasonText(instance),
      h('span', { class: 'age' }, ` · ${ageText(at - since)}`),
    ),
    numberCell('Attempts/s', numberText(traffic.perSecond)),
    numberCell('Errors', percentText(traffic.errorPercent), isHighErrorRate(traffic.errorPercent)),
    numberCell('p50', msText(traffic.p50)),
    numberCell('p95', msText(traffic.p95)),
    numberCell('In flight', `${numberText(instance.inflight)}${longLivedText(instance)}`),
    numberCell('Measured', percentText(trafficPercent)),
    numberCell('Intended', percentText(shares.get(id))),
    h('td', { class: 'manage' }, manageButton(service, id)),
  );
}
