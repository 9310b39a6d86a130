import { h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText, stateText, whenText } from '../format.js';
import { peerFigures } from '../peers.js';
import { factRow, tableHead } from './facts.js';
import { pill } from './icons.js';
import { isHighErrorRate, manageButton, marks, reasonText, weightText } from './instance-row.js';
import { crumbs } from './service-page.js';

/** @import { ApiInstance, StatusDocument, StatusInstance, StatusService } from '../types.d.ts' */
/** @import { Shares } from './service-page.js' */
/** @typedef {{ shares: Shares, details: ApiInstance | null }} Loaded what the status document does not contain */

/** @param {HTMLElement} element @param {StatusDocument} status @param {{ service: string, instance: string }} page @param {Loaded} loaded */
export function drawInstancePage(element, status, page, loaded) {
  const service = status.services.find(({ id }) => id === page.service);
  const instance = service?.instances.find(({ id }) => id === page.instance);
  if (!service || !instance) {
    const text = `There is no instance “${page.instance}” of ${page.service} now. Its history may still be shown below.`;
    patch(element, crumbs(page.service, page.instance), h('p', { class: 'empty' }, text));
    return;
  }
  patch(
    element,
    crumbs(page.service, page.instance),
    head(instance, status.at),
    h(
      'div',
      { class: 'fact-cards' },
      group('Probes and breaker', probeFacts(instance, loaded.details, status.at)),
      group('Traffic, last minute', trafficFacts(instance)),
      group('Share of the traffic', shareFacts(instance, loaded.shares)),
      h('div', { class: 'fact-card' }, h('h3', {}, 'Against its peers'), comparison(service, instance)),
    ),
  );
}

/** @param {StatusInstance} instance @param {number} at */
function head(instance, at) {
  const { id, service, url, state, since } = instance;
  return h(
    'div',
    { class: 'page-head' },
    h(
      'div',
      { class: 'card-head' },
      h('h2', { id: 'page-title', class: 'page-title', tabindex: -1 }, `Instance ${id}`),
      pill(state, stateText(state)),
      marks(instance),
      h('span', { class: 'routes' }, url),
      manageButton(service, id),
    ),
    h(
      'p',
      {},
      h('span', { class: 'why' }, reasonText(instance)),
      h('span', { class: 'since' }, ` since ${whenText(since)} · ${ageText(at - since)}`),
    ),
  );
}

/** @param {string} title @param {Node[]} rows */
const group = (title, rows) =>
  h('div', { class: 'fact-card' }, h('h3', {}, title), h('dl', { class: 'facts-list' }, rows));

/** @param {StatusInstance} instance @param {ApiInstance | null} details @param {number} at */
function probeFacts({ health, breaker, admin, drainDeadline, priority, expiresAt }, details, at) {
  const probe = details?.lastProbe;
  const probeText = probe
    ? `${probe.ok ? 'passed' : (probe.error ?? 'failed')}, ${msText(probe.latencyMs)}, ${ageText(at - probe.at)} ago`
    : '–';
  return [
    factRow('Health', health, { wrong: health === 'down' }),
    factRow('Last probe', probeText, { wrong: probe?.ok === false }),
    factRow('Breaker', breaker.replace('_', '-'), { wrong: breaker !== 'closed' }),
    factRow(
      'Admin state',
      drainDeadline === undefined ? admin : `${admin}, maintenance at ${whenText(drainDeadline)}`,
    ),
    factRow('Priority', priority === 1 ? 'primary' : `backup (${priority})`),
    ...(expiresAt === undefined ? [] : [factRow('Registration ends', whenText(expiresAt))]),
  ];
}

/** @param {StatusInstance} instance */
function trafficFacts({ traffic, inflight, queued, longLived = 0, latencyMs }) {
  return [
    factRow('Attempts', `${numberText(traffic.perSecond)}/s`),
    factRow('Failed', percentText(traffic.errorPercent), { wrong: isHighErrorRate(traffic.errorPercent) }),
    factRow('Latency', `p50 ${msText(traffic.p50)}, p95 ${msText(traffic.p95)}, p99 ${msText(traffic.p99)}`),
    factRow('Latency now', msText(latencyMs)),
    factRow(
      'Connections',
      `${numberText(inflight)} in flight, ${numberText(queued)} queued, ${numberText(longLived)} long-lived`,
    ),
  ];
}

/** @param {StatusInstance} instance @param {Shares} shares */
function shareFacts(instance, shares) {
  const { outlier, latencyShare = 1, trafficPercent } = instance;
  return [
    factRow('Measured', percentText(trafficPercent)),
    factRow('Intended', percentText(shares.get(instance.id))),
    factRow('Weight', weightText(instance)),
    ...(outlier ? [factRow('Kept as an outlier', percentText(100 * outlier.share), { wrong: true })] : []),
    ...(latencyShare < 1 ? [factRow('Kept for its latency', percentText(100 * latencyShare))] : []),
  ];
}

/** Its figures beside the median of the others. @param {StatusService} service @param {StatusInstance} instance */
function comparison(service, instance) {
  const { count, p50, p95, errorPercent } = peerFigures(service.instances, instance.id);
  if (count === 0) return h('p', { class: 'empty' }, 'No other instance has traffic.');
  const own = instance.traffic;
  const rows = /** @type {const} */ ([
    ['p50', msText(own.p50), msText(p50)],
    ['p95', msText(own.p95), msText(p95)],
    ['Failed', percentText(own.errorPercent), percentText(errorPercent)],
  ]);
  return h(
    'div',
    {},
    h(
      'table',
      { class: 'comparison' },
      h('caption', { class: 'hidden' }, `${instance.id} against the median of its peers, last minute`),
      tableHead(['Figure', instance.id, `Median of ${count}`], (index) => (index > 0 ? 'number' : null)),
      h(
        'tbody',
        {},
        rows.map(([name, value, peers]) =>
          h(
            'tr',
            { 'data-key': name },
            h('th', { scope: 'row' }, name),
            h('td', { class: 'number' }, value),
            h('td', { class: 'number' }, peers),
          ),
        ),
      ),
    ),
    h(
      'p',
      { class: instance.outlier ? 'wrong' : 'muted' },
      instance.outlier
        ? `${instance.outlier.cause}: ${instance.outlier.evidence}, since ${whenText(instance.outlier.since)}`
        : 'Not an outlier.',
    ),
  );
}
