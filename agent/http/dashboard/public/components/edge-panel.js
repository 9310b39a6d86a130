import { byId, h, patch } from '../dom.js';
import { ageText, numberText, plural } from '../format.js';
import { factRow, tableHead } from './facts.js';

/** @import { StatusDocument } from '../types.d.ts' */
/** @typedef {StatusDocument['edge']} Edge */

const MAX_LIMITS = 12;

/** @param {StatusDocument} status */
export function drawEdgePanel(status) {
  const { edge } = status;
  patch(
    byId('edge'),
    edge.isolates === 0
      ? h('p', { class: 'empty' }, 'No edge reports in the last five minutes.')
      : [drawFacts(status), edge.limits.length > 0 && drawLimits(edge.limits)],
  );
}

/** @param {StatusDocument} status */
function drawFacts({ edge, at, snapshot }) {
  const { isolates, lastReport, oldest } = edge;
  const sum = (/** @type {(row: Edge['requests'][number]) => number} */ pick) =>
    numberText(edge.requests.reduce((total, row) => total + pick(row), 0));
  const behind = oldest !== null && (oldest.epoch !== snapshot.epoch || oldest.seq < snapshot.seq - 1);
  const reported = lastReport === null ? '–' : `${ageText(at - lastReport)} ago`;
  return h(
    'dl',
    { class: 'facts-list' },
    factRow('Reporting', `${plural(isolates, 'isolate')}, last ${reported}`),
    factRow(
      'Oldest snapshot',
      oldest ? `${oldest.epoch}.${oldest.seq} from ${oldest.source}${behind ? ', behind' : ''}` : 'none',
      { wrong: behind },
    ),
    factRow('Requests, 5 min', `${sum((row) => row.total)}, ${sum((row) => row.status5xx)} of them 5xx`),
    factRow('Retries', `${sum((row) => row.retries)}, ${sum((row) => row.failovers)} failovers`),
    factRow(
      'Degraded answers',
      sum((row) => row.stale + row.shed + row.unavailable),
    ),
    factRow(
      'Rejected',
      `${sum((row) => row.limited)} by rate limits, ${sum((row) => row.forbidden)} by access rules`,
    ),
  );
}

/** @param {Edge['limits']} limits */
function drawLimits(limits) {
  return h(
    'table',
    { class: 'limits' },
    h('caption', {}, 'Rate limits, last five minutes'),
    tableHead(['Service', 'Policy', 'Allowed', 'Denied'], (index) => (index > 1 ? 'number' : null)),
    h(
      'tbody',
      {},
      limits
        .toSorted((a, b) => b.denied - a.denied)
        .slice(0, MAX_LIMITS)
        .map(({ service, policy, allowed, denied, shadowDenied }) =>
          h(
            'tr',
            { 'data-key': `${service} ${policy}` },
            h('td', {}, service),
            h('td', {}, policy),
            h('td', { class: 'number' }, numberText(allowed)),
            h(
              'td',
              { class: `number${denied > 0 ? ' wrong' : ''}` },
              numberText(denied),
              shadowDenied > 0 && h('small', {}, ` +${shadowDenied} shadow`),
            ),
          ),
        ),
    ),
  );
}
