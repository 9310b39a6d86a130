import { call, newestOnly } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { plural, stateWord } from '../format.js';
import { pill } from './icons.js';

const MOST = 12;
const beginExplaining = newestOnly();

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
      h('p', { class: 'error' }, error instanceof Error ? error.message : String(error)),
    );
    if (isNewest()) patch(byId('explain-result'), drawn);
  });
}

/** @param {any} answer */
function drawExplanation(answer) {
  const candidates = Array.isArray(answer?.candidates) ? answer.candidates : [];
  const chosen = idOf(answer?.chosen);
  const shown = candidates
    .toSorted(
      (/** @type {any} */ a, /** @type {any} */ b) =>
        Number(idOf(b) === chosen) - Number(idOf(a) === chosen) || b.sharePercent - a.sharePercent,
    )
    .slice(0, MOST);
  return h(
    'div',
    { class: 'explanation', 'data-key': JSON.stringify(answer).length },
    h(
      'p',
      {},
      chosen ? [h('strong', {}, chosen), ' would answer'] : 'No instance would answer',
      answer?.service ? ` for service ${answer.service}` : '',
      answer?.route ? ` (route ${answer.route})` : '',
      '.',
    ),
    answer?.why && h('p', { class: 'why' }, String(answer.why)),
    candidates.length > 0 &&
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Candidate', 'State', 'Share', 'Why'].map((head) => h('th', { scope: 'col' }, head)),
          ),
        ),
        h(
          'tbody',
          {},
          shown.map((/** @type {any} */ candidate) =>
            h(
              'tr',
              { class: idOf(candidate) === chosen ? 'chosen' : null },
              h(
                'th',
                { scope: 'row' },
                idOf(candidate),
                idOf(candidate) === chosen && h('span', { class: 'mark note' }, 'chosen'),
              ),
              h(
                'td',
                {},
                candidate.state ? pill(String(candidate.state), stateWord(String(candidate.state))) : '',
              ),
              h('td', { class: 'number' }, `${candidate.sharePercent ?? 0} %`),
              h('td', { class: 'why' }, String(candidate.reason ?? '')),
            ),
          ),
        ),
      ),
    candidates.length > shown.length &&
      h('p', { class: 'muted' }, `and ${plural(candidates.length - shown.length, 'other candidate')}`),
  );
}

/** @param {any} value */
function idOf(value) {
  return typeof value === 'string' ? value : String(value?.id ?? value?.instance ?? '');
}
