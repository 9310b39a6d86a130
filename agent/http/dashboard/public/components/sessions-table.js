import { agentNow } from '../agent-clock.js';
import { ApiError, call, callWithHeaders, errorText, latestOnly } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { ageText, numberText, whenText } from '../format.js';
import { tableHead } from './facts.js';
import { drawSession, pinsText } from './session-dialog.js';

/** @import { ApiSession } from '../types.d.ts' */

const LISTED = 20;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const HEADS = ['Session', 'State', 'Step', 'Instances', 'Last active'];

/** The last answer, and the error since then. @type {{ sessions: ApiSession[], at: number, error: string, counts: string }} */
let latest = { sessions: [], at: 0, error: '', counts: '' };

const beginList = latestOnly();
const beginOpening = latestOnly();

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
    latest = { sessions: list?.sessions ?? [], at: agentNow(), error: '', counts: countsOf(stats) };
  } catch (error) {
    // An agent without sessions answers 404; the panel stays hidden.
    if (error instanceof ApiError && error.status === 404) return;
    if (!isNewest()) return;
    latest.error = errorText(error);
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
  const query = filter().value.trim().toLowerCase();
  return latest.sessions.filter((session) =>
    [
      session.id,
      session.userId,
      session.workflowType,
      session.currentStep,
      session.state,
      pinsText(session),
    ].some((text) => text.toLowerCase().includes(query)),
  );
}

function draw() {
  const rows = matching();
  byId('sessions-counts').textContent = latest.counts;
  patch(
    byId('sessions-body'),
    latest.error !== '' &&
      h(
        'p',
        { class: 'error' },
        `${latest.error}. ${latest.at > 0 ? `The list is from ${whenText(latest.at)}. ` : ''}A complete session id still opens the copy in Redis.`,
      ),
    rows.length > 0
      ? h('table', { class: 'sessions' }, tableHead(HEADS), h('tbody', {}, rows.map(drawRow)))
      : latest.error === '' && h('p', { class: 'empty' }, emptyText()),
  );
}

function emptyText() {
  const text = filter().value.trim();
  if (UUID.test(text)) return 'Not in the list; press Open to load it by id.';
  if (text) return `No match among the ${LISTED} newest. A complete session id opens any session.`;
  return state().value ? `No ${state().value} sessions.` : 'No sessions yet.';
}

/** @param {ApiSession} session */
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
  const drawn = await callWithHeaders('GET', `/v1/sessions/${encodeURIComponent(id)}`).then(
    ({ answer, headers }) => drawSession(answer, headers.get('x-acgs-stale') !== null),
    (error) => drawSession(null, false, errorText(error)),
  );
  if (!isNewest()) return;
  patch(dialog, drawn);
  if (!dialog.open) dialog.showModal();
}
