import { aheadMs } from '../clock.js';
import { byId, h, patch } from '../dom.js';
import { ageText, numberText, plural } from '../format.js';

/** @import { StatusDocument } from '../types.d.ts' */

/** Clocks this far apart are worth a word; instants on the page are the agent's. */
const SKEW_MS = 5_000;

/** @param {StatusDocument} status */
export function drawEdge({ edge, at, snapshot }) {
  const sums = edge.requests.reduce(
    (sum, row) => ({
      total: sum.total + row.total,
      errors: sum.errors + row.status5xx,
      retries: sum.retries + row.retries,
      failovers: sum.failovers + row.failovers,
      degraded: sum.degraded + row.stale + row.shed + row.unavailable,
      limited: sum.limited + row.limited,
      forbidden: sum.forbidden + row.forbidden,
    }),
    { total: 0, errors: 0, retries: 0, failovers: 0, degraded: 0, limited: 0, forbidden: 0 },
  );
  const behind = edge.oldest
    ? edge.oldest.epoch !== snapshot.epoch || edge.oldest.seq < snapshot.seq - 1
    : false;
  patch(
    byId('edge'),
    edge.isolates === 0
      ? h('p', { class: 'empty' }, 'No edge reported in the last five minutes.')
      : [
          h(
            'dl',
            { class: 'facts-list' },
            row(
              'Reporting',
              `${plural(edge.isolates, 'isolate')}, last ${edge.lastReport === null ? '–' : `${ageText(at - edge.lastReport)} ago`}`,
            ),
            row(
              'Oldest snapshot',
              edge.oldest
                ? `${edge.oldest.epoch}.${edge.oldest.seq} from ${edge.oldest.source}${behind ? ', behind' : ''}`
                : 'none',
              behind,
            ),
            row('Requests, 5 min', `${numberText(sums.total)}, ${numberText(sums.errors)} of them 5xx`),
            row(
              'Saved by a retry',
              `${numberText(sums.failovers)} moved, ${numberText(sums.retries)} retries`,
            ),
            row('Degraded answers', numberText(sums.degraded)),
            row(
              'Turned away',
              `${numberText(sums.limited)} by rate limits, ${numberText(sums.forbidden)} by access rules`,
            ),
          ),
          edge.limits.length > 0 &&
            h(
              'table',
              { class: 'limits' },
              h('caption', {}, 'Rate limits, last five minutes'),
              h(
                'thead',
                {},
                h(
                  'tr',
                  {},
                  ['Service', 'Policy', 'Passed', 'Refused'].map((head, index) =>
                    h('th', { scope: 'col', class: index > 1 ? 'number' : null }, head),
                  ),
                ),
              ),
              h(
                'tbody',
                {},
                edge.limits
                  .toSorted((a, b) => b.denied - a.denied)
                  .slice(0, 12)
                  .map((limit) =>
                    h(
                      'tr',
                      { 'data-key': `${limit.service} ${limit.policy}` },
                      h('td', {}, limit.service),
                      h('td', {}, limit.policy),
                      h('td', { class: 'number' }, numberText(limit.allowed)),
                      h(
                        'td',
                        { class: `number${limit.denied > 0 ? ' wrong' : ''}` },
                        numberText(limit.denied),
                        limit.shadowDenied > 0 && h('small', {}, ` +${limit.shadowDenied} shadow`),
                      ),
                    ),
                  ),
              ),
            ),
        ],
  );
}

/** @param {StatusDocument} status */
export function drawAgent({ sinks, leader, startedAt, at, version, snapshot }) {
  patch(
    byId('agent'),
    h(
      'dl',
      { class: 'facts-list' },
      row(
        'Role',
        leader.role === 'single'
          ? 'the only agent'
          : leader.role === 'leader'
            ? 'leader'
            : `standby; ${leader.holder ?? 'nobody'} leads`,
      ),
      row('Running', `${ageText(at - startedAt)}, version ${version}`),
      row('Snapshot', `${snapshot.epoch}.${snapshot.seq}`),
      Math.abs(aheadMs()) > SKEW_MS &&
        row(
          'Clock',
          `${ageText(Math.abs(aheadMs()))} ${aheadMs() > 0 ? 'behind' : 'ahead of'} this browser’s`,
          true,
        ),
      Object.entries(sinks).map(([name, sink]) => {
        const waiting = sink.pending > 0 ? `, ${numberText(sink.pending)} waiting` : '';
        const dropped = sink.dropped > 0 ? `, ${numberText(sink.dropped)} dropped` : '';
        return row(name, `${sink.state}${waiting}${dropped}`, sink.state !== 'ok', sink.lastError);
      }),
    ),
  );
}

/** @param {string} name @param {string} value @param {boolean} [wrong] @param {string | null} [title] */
function row(name, value, wrong = false, title = null) {
  return h(
    'div',
    { 'data-key': name },
    h('dt', {}, name),
    h('dd', { class: wrong ? 'wrong' : null, title: wrong ? title : null }, value),
  );
}
