import { byId, h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText } from '../format.js';
import { chart } from './chart.js';

/** @import { StatusDocument } from '../types.d.ts' */

/** @param {StatusDocument} status */
export function drawSummaryCards(status) {
  const { total } = status;
  const { history } = total;
  patch(
    byId('figures'),
    card({
      name: 'Requests',
      value: numberText(total.perSecond),
      unit: '/s',
      note: `${numberText(total.inflight)} in flight, ${numberText(total.queued)} queued`,
      picture: chart(history.perSecond, {
        label: 'Requests per second, last five minutes',
        unit: '/s',
        minTop: 2,
      }),
    }),
    card({
      name: 'Errors',
      value: percentText(total.errorPercent),
      note: `${numberText(total.failed)} of ${numberText(total.requests)} requests in the last minute`,
      picture: chart(history.errorPercent, {
        label: 'Errors in percent, last five minutes',
        kind: 'bars',
        tone: 'red',
        unit: '%',
        minTop: 2,
      }),
    }),
    card({
      name: 'Latency p95',
      value: msText(total.p95),
      note: `p50 ${msText(total.p50)}, p99 ${msText(total.p99)}`,
      picture: chart(history.p95, {
        label: '95th percentile of latency, last five minutes',
        tone: 'violet',
        unit: 'ms',
        minTop: 50,
      }),
    }),
    drawPublished(status),
  );
}

/** @param {{ name: string, value: string, unit?: string, note: string, picture: Node }} card */
function card({ name, value, unit = '', note, picture }) {
  return h(
    'div',
    { class: 'figure' },
    h('h2', {}, name),
    h('p', { class: 'figure-value' }, value, unit && h('small', {}, unit)),
    h('p', { class: 'muted' }, note),
    picture,
  );
}

/** @param {StatusDocument} status */
function drawPublished({ at, total, snapshot, edge, sinks }) {
  const denied = edge.limits.reduce((sum, limit) => sum + limit.denied, 0);
  const pending = Object.values(sinks).reduce((sum, sink) => sum + sink.pending, 0);
  const published = snapshot.publishedAt;
  return h(
    'div',
    { class: 'figure facts' },
    h('h2', {}, 'Published'),
    h(
      'dl',
      {},
      fact(
        'Snapshot',
        `${snapshot.epoch}.${snapshot.seq}`,
        published === null ? 'not published' : `${ageText(at - published)} ago`,
      ),
      fact(
        'Edge uses',
        edge.oldest ? `${edge.oldest.epoch}.${edge.oldest.seq}` : '–',
        edge.oldest ? `from ${edge.oldest.source}` : 'no report yet',
      ),
      fact(
        'Attempts',
        numberText(total.attempts),
        `${numberText(total.retries)} retries, ${numberText(total.hedges)} hedges, last minute`,
      ),
      fact('Rate-limited', numberText(denied), 'last five minutes'),
      fact('Pending writes', numberText(pending), ''),
    ),
  );
}

/** @param {string} name @param {string} value @param {string} note */
function fact(name, value, note) {
  return h('div', {}, h('dt', {}, name), h('dd', {}, value, note && h('small', {}, note)));
}
