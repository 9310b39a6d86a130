import { call, errorText, latestOnly } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { plural, stateText } from '../format.js';
import { tableHead } from './facts.js';
import { pill } from './icons.js';

/** @import { RouteExplanation } from '../types.d.ts' */

const MAX_CANDIDATES = 12;
const beginExplaining = latestOnly();

export function setUpExplain() {
  byId('explain').addEventListener('submit', async (event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const query = new URLSearchParams();
    for (const name of ['path', 'session', 'client']) {
      const value = String(fields.get(name) ?? '').trim();
      if (value) query.set(name, value);
    }
    const isNewest = beginExplaining();
    const drawn = await call('GET', `/v1/explain?${query}`).then(drawExplanation, (error) =>
      h('p', { class: 'error' }, errorText(error)),
    );
    if (isNewest()) patch(byId('explain-result'), drawn);
  });
}

/** @param {RouteExplanation} explanation */
function drawExplanation({ service, route, chosen, why, candidates }) {
  const shown = candidates
    .toSorted((a, b) => Number(b.id === chosen) - Number(a.id === chosen) || b.sharePercent - a.sharePercent)
    .slice(0, MAX_CANDIDATES);
  return h(
    'div',
    { class: 'explanation' },
    h(
      'p',
      {},
      chosen ? [h('strong', {}, chosen), ' would answer'] : 'No instance would answer',
      service ? ` for service ${service}` : '',
      route ? ` (route ${route})` : '',
      '.',
    ),
    h('p', { class: 'why' }, why),
    candidates.length > 0 &&
      h(
        'table',
        {},
        tableHead(['Candidate', 'State', 'Share', 'Gets', 'Reason']),
        h('tbody', {}, shown.map(drawCandidate)),
      ),
    candidates.length > shown.length &&
      h('p', { class: 'muted' }, `and ${plural(candidates.length - shown.length, 'other candidate')}`),
  );
}

/** @param {RouteExplanation['candidates'][number]} candidate */
function drawCandidate({ id, state, sharePercent, measuredPercent, reason, chosen }) {
  return h(
    'tr',
    { class: chosen ? 'chosen' : null },
    h('th', { scope: 'row' }, id, chosen && h('span', { class: 'mark note' }, 'chosen')),
    h('td', {}, pill(state, stateText(state))),
    h('td', { class: 'number' }, `${sharePercent} %`),
    h('td', { class: 'number' }, measuredPercent === null ? '–' : `${measuredPercent} %`),
    h('td', { class: 'why' }, reason),
  );
}
