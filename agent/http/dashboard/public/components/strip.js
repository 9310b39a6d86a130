import { byId, h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText, plural } from '../format.js';
import { pageHref } from '../page-link.js';
import { serving } from '../services-layout.js';
import { verdictOf } from '../verdict.js';
import { icon } from './icons.js';

/** @import { Page } from '../page-link.js' */
/** @import { StatusDocument, StatusService } from '../types.d.ts' */
/** @import { Problem } from '../verdict.js' */
/** @typedef {'bad' | 'warn' | 'fine' | 'note'} StationTone */

const MAX_SERVICES = 24;
const ORDER = { bad: 0, warn: 1, note: 2, fine: 3 };
const TONE_TEXTS = { bad: 'trouble', warn: 'attention', fine: 'healthy', note: 'planned' };

/** The path of a request, and where on it the problems are. @param {StatusDocument} status @param {Page} page */
export function drawStrip(status, page) {
  const { problems, notes } = verdictOf(status);
  const at = (/** @type {Problem['place']} */ place) =>
    worst(problems.filter((problem) => problem.place === place));
  const clients = worst(problems.filter((problem) => problem.clients));
  const { total, edge } = status;
  const denied = edge.limits.reduce((sum, limit) => sum + limit.denied, 0);
  patch(
    byId('strip'),
    h(
      'ol',
      {},
      station('Clients', clients, [
        `${numberText(total.perSecond)} requests/s`,
        `${percentText(total.errorPercent)} failed: ${numberText(total.failed)} of ${numberText(total.requests)}`,
        `p50 ${msText(total.p50)}, p95 ${msText(total.p95)}, p99 ${msText(total.p99)}`,
      ]),
      station('Edge', edge.isolates === 0 && at('edge') === 'fine' ? 'note' : at('edge'), [
        edge.lastReport === null
          ? 'no reports'
          : `${plural(edge.isolates, 'isolate')}, ${ageText(status.at - edge.lastReport)} ago`,
        `snapshot ${edge.oldest ? `${edge.oldest.epoch}.${edge.oldest.seq} from ${edge.oldest.source}` : '–'}`,
        `${numberText(denied)} limited in 5 min`,
      ]),
      station('Gateway', at('gateway'), [
        `HAProxy ${status.sinks.haproxy?.state ?? 'not managed'}`,
        `${numberText(total.inflight)} in flight, ${numberText(total.queued)} queued`,
        `${numberText(total.attempts)} attempts, ${numberText(total.retries)} retries, ${numberText(total.hedges)} hedges`,
      ]),
      h(
        'li',
        { class: `station services ${worst(problems.filter(({ place }) => place === 'service'))}` },
        h('p', { class: 'station-name' }, 'Services, worst first'),
        serviceChips(status.services, [...problems, ...notes], page),
      ),
    ),
  );
}

/** @param {readonly Problem[]} problems @returns {StationTone} */
function worst(problems) {
  const tones = problems.map(({ tone }) => tone);
  return /** @type {const} */ (['bad', 'warn', 'note']).find((tone) => tones.includes(tone)) ?? 'fine';
}

/** @param {string} name @param {StationTone} tone @param {string[]} lines */
function station(name, tone, [main, ...details]) {
  return h(
    'li',
    { class: `station ${tone}` },
    h(
      'p',
      { class: 'station-name' },
      h('span', { class: 'finding-mark' }, icon(tone)),
      name,
      toneForReaders(tone),
    ),
    h('p', { class: 'station-main' }, main),
    details.map((detail) => h('p', { class: 'muted' }, detail)),
  );
}

/** @param {StationTone} tone */
const toneForReaders = (tone) => h('span', { class: 'hidden' }, `: ${TONE_TEXTS[tone]}`);

/** @param {readonly StatusService[]} services @param {readonly Problem[]} problems @param {Page} page */
function serviceChips(services, problems, page) {
  const ranked = services
    .map((service) => ({
      service,
      tone: worst(problems.filter((problem) => problem.service === service.id)),
    }))
    .toSorted((a, b) => ORDER[a.tone] - ORDER[b.tone]);
  return h(
    'ul',
    { class: 'chips' },
    ranked.slice(0, MAX_SERVICES).map(({ service: { id, instances }, tone }) =>
      h(
        'li',
        { 'data-key': id },
        h(
          'a',
          {
            class: `chip ${tone}`,
            href: pageHref({ service: id }),
            'aria-current': page.service === id ? 'page' : null,
          },
          h('span', { class: 'finding-mark' }, icon(tone)),
          id,
          h('small', {}, `${instances.filter(serving).length}/${instances.length}`),
          toneForReaders(tone),
        ),
      ),
    ),
    services.length > MAX_SERVICES &&
      h('li', { class: 'muted', 'data-key': ' more' }, `and ${services.length - MAX_SERVICES} more`),
  );
}
