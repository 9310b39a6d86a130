import { ApiError, ask, call, newestOnly } from '../api.js';
import { agentNow } from '../clock.js';
import { byId, h, patch } from '../dom.js';
import { ageText, numberText, whenText } from '../format.js';
import { drawSession, pinsText } from './session.js';

/** @import { Session } from './session.js' */

const LISTED = 20;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const HEADS = ['Session', 'State', 'Step', 'Instances', 'Last active'];

/** What was heard last. @type {{ sessions: Session[], at: number, trouble: string, counts: string }} */
let heard = { sessions: [], at: 0, trouble: '', counts: '' };

const beginList = newestOnly();
const beginOpening = newestOnly();

const filter = () => /** @type {HTMLInputElement} */ (byId('session-filter'));
const state = () => /** @type {HTMLSelectElement} */ (byId('session-state'));

export function setUpSessions() {
  byId('session-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const text = filter().value.trim();
    const found = matching();
    if (UUID.test(text)) void open(text);
    else if (found.length === 1 && found[0]) void open(found[0].id);
  });
  filter().addEventListener('input', draw);
  state().addEventListener('change', () => void refreshSessions());
  byId('sessions-body').addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-session]') : null;
    const id = button?.getAttribute('data-session');
    if (id) void open(id);
  });
}

export async function refreshSessions() {
  const chosen = state().value;
  const isNewest = beginList();
  try {
    const [list, stats] = await Promise.all([
      call('GET', `/v1/sessions?limit=${LISTED}${chosen ? `&state=${chosen}` : ''}`),
      call('GET', '/v1/sessions/stats'),
    ]);
    if (!isNewest()) return;
    heard = { sessions: list?.sessions ?? [], at: agentNow(), trouble: '', counts: countsOf(stats) };
  } catch (error) {
    // An agent without sessions has no such panel.
    if (error instanceof ApiError && error.status === 404) return;
    if (!isNewest()) return;
    heard.trouble = error instanceof Error ? error.message : String(error);
  }
  byId('sessions').hidden = false;
  draw();
}

/** @param {any} stats */
function countsOf(stats) {
  const states = Object.entries(stats?.byState ?? {}).map(
    ([name, count]) => `${numberText(Number(count))} ${name}`,
  );
  const moves = Number(stats?.moves ?? 0);
  return [...states, ...(moves > 0 ? [`${numberText(moves)} moved to another instance`] : [])].join(', ');
}

function matching() {
  const wanted = filter().value.trim().toLowerCase();
  return heard.sessions.filter((session) =>
    [
      session.id,
      session.userId,
      session.workflowType,
      session.currentStep,
      session.state,
      pinsText(session),
    ].some((text) => text.toLowerCase().includes(wanted)),
  );
}

function draw() {
  const rows = matching();
  byId('sessions-counts').textContent = heard.counts;
  patch(
    byId('sessions-body'),
    heard.trouble !== '' &&
      h(
        'p',
        { class: 'error' },
        `${heard.trouble}. ${heard.at > 0 ? `The list is of ${whenText(heard.at)}. ` : ''}A session can still be opened by its whole id, from the copy.`,
      ),
    rows.length > 0
      ? h(
          'table',
          { class: 'sessions' },
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              HEADS.map((head) => h('th', { scope: 'col' }, head)),
            ),
          ),
          h('tbody', {}, rows.map(drawRow)),
        )
      : heard.trouble === '' && h('p', { class: 'empty' }, emptyText()),
  );
}

function emptyText() {
  const text = filter().value.trim();
  if (UUID.test(text)) return 'Not among the newest; Open looks it up by its id.';
  if (text) return `None of the ${LISTED} newest matches; a whole id can be opened.`;
  return state().value ? `None is ${state().value}.` : 'None yet.';
}

/** @param {Session} session */
function drawRow(session) {
  const { id, state, currentStep, workflowType, lastActivity } = session;
  return h(
    'tr',
    { 'data-key': id },
    h(
      'th',
      { scope: 'row' },
      h('button', { type: 'button', class: 'link', 'data-session': id, title: id }, `…${id.slice(-12)}`),
      h('span', { class: 'url' }, workflowType.replaceAll('_', ' ')),
    ),
    h('td', {}, state),
    h('td', {}, currentStep),
    h('td', { class: 'why' }, pinsText(session)),
    h('td', { title: whenText(lastActivity) }, `${ageText(agentNow() - lastActivity)} ago`),
  );
}

/** @param {string} id */
async function open(id) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('session'));
  const isNewest = beginOpening();
  const drawn = await ask('GET', `/v1/sessions/${encodeURIComponent(id)}`).then(
    ({ answer, headers }) => drawSession(answer, headers.get('x-acgs-stale') !== null),
    (error) => drawSession(null, false, error instanceof Error ? error.message : String(error)),
  );
  if (!isNewest()) return;
  patch(dialog, drawn);
  if (!dialog.open) dialog.showModal();
}
