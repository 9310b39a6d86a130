import { byId, h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText } from '../format.js';
import { chart } from './chart.js';

/** @import { StatusDocument } from '../types.d.ts' */

/** @param {StatusDocument} status */
export function drawFigures({ at, total, snapshot, edge, sinks }) {
  const { history } = total;
  const denied = edge.limits.reduce((sum, limit) => sum + limit.denied, 0);
  const stored = Object.values(sinks).reduce((sum, sink) => sum + sink.pending, 0);
  patch(
    byId('figures'),
    figure(
      'Requests',
      `${numberText(total.perSecond)}`,
      '/s',
      `${numberText(total.inflight)} in flight, ${numberText(total.queued)} queued`,
      chart(history.perSecond, { label: 'Requests per second, last five minutes', unit: '/s', least: 2 }),
    ),
    figure(
      'Errors',
      percentText(total.errorPercent),
      '',
      'of the last minute',
      chart(history.errorPercent, {
        label: 'Errors in percent, last five minutes',
        kind: 'bars',
        tone: 'red',
        unit: '%',
        least: 2,
      }),
    ),
    figure(
      'Latency p95',
      msText(total.p95),
      '',
      `p50 ${msText(total.p50)}, p99 ${msText(total.p99)}`,
      chart(history.p95, {
        label: '95th percentile of latency, last five minutes',
        tone: 'violet',
        unit: 'ms',
        least: 50,
      }),
    ),
    h(
      'div',
      { class: 'figure facts' },
      h('h2', {}, 'Published'),
      h(
        'dl',
        {},
        fact(
          'Snapshot',
          `${snapshot.epoch}.${snapshot.seq}`,
          snapshot.publishedAt === null ? 'never published' : `${ageText(at - snapshot.publishedAt)} ago`,
        ),
        fact(
          'Edge uses',
          edge.oldest ? `${edge.oldest.epoch}.${edge.oldest.seq}` : '–',
          edge.oldest ? `from ${edge.oldest.source}` : 'no report yet',
        ),
        fact('Rate-limited', numberText(denied), 'last five minutes'),
        fact('Waiting to be stored', numberText(stored), ''),
      ),
    ),
  );
}

/** @param {string} name @param {string} value @param {string} unit @param {string} below @param {Node} picture */
function figure(name, value, unit, below, picture) {
  return h(
    'div',
    { class: 'figure' },
    h('h2', {}, name),
    h('p', { class: 'figure-value' }, value, unit && h('small', {}, unit)),
    h('p', { class: 'muted' }, below),
    picture,
  );
}

/** @param {string} name @param {string} value @param {string} note */
function fact(name, value, note) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, value, note && h('small', {}, note)));
}
