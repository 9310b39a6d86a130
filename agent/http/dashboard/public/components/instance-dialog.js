import { agentNow } from '../agent-clock.js';
import { call, errorText, isUnauthorized, token } from '../api.js';
import { byId, h, patch } from '../dom.js';
import { ageText, plural, stateText, whenText } from '../format.js';
import { serving } from '../services-layout.js';
import { pill } from './icons.js';
import { openLogin, TOKEN_REJECTED } from './login-dialog.js';
import { toast } from './toast.js';

/** @import { StatusDocument, StatusInstance } from '../types.d.ts' */
/**
 * @typedef {object} Operation A write that waits for confirmation.
 * @property {string} label
 * @property {string} question
 * @property {string} path
 * @property {unknown} body
 */

const DEADLINES = [
  ['', 'never'],
  ['1m', 'in 1 min'],
  ['5m', 'in 5 min'],
  ['30m', 'in 30 min'],
];

const dialog = () => /** @type {HTMLDialogElement} */ (byId('manage'));
/** @type {{ service: string, instance: string } | null} */
let shown = null;
/** @type {Operation | null} */
let pending = null;
/** While a write is in progress, the button does nothing. */
let sending = false;
/** Why the last attempt of the pending operation failed. */
let failure = '';
/** @type {StatusDocument | null} */
let latest = null;

/** @param {StatusDocument} status @param {string} service @param {string} instance */
export function openInstanceDialog(status, service, instance) {
  shown = { service, instance };
  pending = null;
  patch(dialog());
  updateInstanceDialog(status);
  dialog().showModal();
}

/** @param {StatusDocument} status */
export function updateInstanceDialog(status) {
  latest = status;
  if (!shown) return;
  const instance = peers(status).find(({ id }) => id === shown?.instance);
  if (!instance) {
    patch(dialog(), h('h2', { id: 'manage-title' }, `${shown.instance} no longer exists`), closeRow());
    return;
  }
  patch(dialog(), facts(instance), pending ? confirmation(pending) : actions(instance));
}

/** All instances of the shown service. @param {StatusDocument} status */
function peers(status) {
  return status.services.find(({ id }) => id === shown?.service)?.instances ?? [];
}

/** @param {StatusInstance} instance */
function facts(instance) {
  const { admin, drainDeadline, priority, state } = instance;
  const deadline = drainDeadline === undefined ? '' : `, maintenance at ${whenText(drainDeadline)}`;
  return h(
    'div',
    { 'data-key': 'facts' },
    h('h2', { id: 'manage-title' }, instance.id, h('small', {}, ` of ${instance.service}`)),
    h(
      'p',
      {},
      pill(state, stateText(state)),
      ' ',
      h('span', { class: 'why' }, instance.reason),
      h('span', { class: 'age' }, ` · ${ageText(agentNow() - instance.since)}`),
    ),
    h(
      'dl',
      { class: 'facts-list two' },
      [
        ['Address', instance.url],
        ['Health', instance.health],
        ['Breaker', instance.breaker.replace('_', '-')],
        ['Admin state', admin + deadline],
        ['Weight', String(instance.weight)],
        ['Priority', priority === 1 ? 'primary' : `backup (${priority})`],
      ].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    ),
  );
}

/** @param {StatusInstance} instance */
function actions({ admin, weight }) {
  return h(
    'div',
    { class: 'actions', 'data-key': 'actions' },
    action(
      'drain',
      ['Drain', 'No new sessions; existing sessions stay.'],
      [
        h(
          'label',
          {},
          'Then maintenance',
          h(
            'select',
            { name: 'deadline' },
            DEADLINES.map(([value, text]) => h('option', { value }, text)),
          ),
        ),
        h('button', { type: 'submit', disabled: admin === 'drain' }, 'Drain'),
      ],
    ),
    action(
      'maint',
      ['Maintenance', 'No traffic; its sessions move to other instances.'],
      [h('button', { type: 'submit', class: 'danger', disabled: admin === 'maint' }, 'Maintenance')],
    ),
    action(
      'ready',
      ['Ready', 'Takes traffic again after its probes pass.'],
      [h('button', { type: 'submit', disabled: admin === 'ready' }, 'Ready')],
    ),
    action(
      'weight',
      ['Weight', 'Its share of the traffic, 1 to 256; the default is 100.'],
      [
        h(
          'label',
          {},
          h('span', { class: 'hidden' }, 'Weight'),
          h('input', { name: 'weight', type: 'number', min: 1, max: 256, required: true, value: weight }),
        ),
        h('button', { type: 'submit' }, 'Set'),
      ],
    ),
    closeRow(),
  );
}

/** @param {string} kind @param {[title: string, help: string]} texts @param {Node[]} controls */
function action(kind, [title, help], controls) {
  return h(
    'form',
    { class: 'action', 'data-operation': kind },
    h('div', {}, h('strong', {}, title), h('p', { class: 'muted' }, help)),
    controls,
  );
}

/** @param {Operation} operation */
function confirmation({ label, question }) {
  return h(
    'form',
    { class: 'confirm', 'data-key': 'confirm', 'data-operation': 'confirmed' },
    h('p', { role: 'alert' }, question),
    failure && h('p', { role: 'alert', class: 'error' }, failure),
    h(
      'p',
      { class: 'dialog-actions' },
      h('button', { type: 'button', class: 'quiet', 'data-operation-back': true }, 'Back'),
      h('button', { type: 'submit', class: 'danger', autofocus: true }, label),
    ),
  );
}

function closeRow() {
  return h(
    'p',
    { class: 'dialog-actions', 'data-key': 'close' },
    h('button', { type: 'button', class: 'quiet', 'data-action': 'close' }, 'Close'),
  );
}

export function setUpInstanceDialog() {
  dialog().addEventListener('submit', (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.dataset.operation === 'confirmed') void send();
    else askToConfirm(form);
  });
  dialog().addEventListener('click', (event) => {
    if (!(event.target instanceof Element) || !event.target.closest('[data-operation-back]')) return;
    pending = null;
    redraw();
  });
  dialog().addEventListener('close', () => {
    shown = null;
    pending = null;
  });
}

/** @param {HTMLFormElement} form */
function askToConfirm(form) {
  const instances = latest ? peers(latest) : [];
  const instance = instances.find(({ id }) => id === shown?.instance);
  if (!instance) return;
  const fields = new FormData(form);
  const kind = form.dataset.operation ?? '';
  const others = instances.filter((other) => other.id !== instance.id && serving(other)).length;
  failure = '';
  pending =
    kind === 'weight'
      ? weightOperation(instance, Number(fields.get('weight')))
      : adminOperation(instance, kind, String(fields.get('deadline') ?? ''), others);
  redraw();
  /** @type {HTMLElement | null} */ (dialog().querySelector('button[autofocus]'))?.focus();
}

/** @param {StatusInstance} instance */
const pathOf = ({ service, id }) =>
  `/v1/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(id)}`;

/** @param {StatusInstance} instance @param {number} weight @returns {Operation} */
function weightOperation(instance, weight) {
  return {
    label: `Set weight ${weight}`,
    question: `Set the weight of ${instance.id} from ${instance.weight} to ${weight}?`,
    path: `${pathOf(instance)}/weight`,
    body: { weight },
  };
}

/** @param {StatusInstance} instance @param {string} state @param {string} deadline @param {number} others serving instances that remain @returns {Operation} */
function adminOperation(instance, state, deadline, others) {
  const { id, service } = instance;
  const remaining = others
    ? `${plural(others, 'other instance')} of ${service} keep${others === 1 ? 's' : ''} serving.`
    : `No other instance of ${service} takes traffic: the service will be down.`;
  const [label, question] =
    state === 'ready'
      ? ['Ready', `Return ${id} to service?`]
      : state === 'drain'
        ? ['Drain', `Drain ${id}? ${remaining}`]
        : ['Maintenance', `Remove all traffic from ${id} now? ${remaining}`];
  return {
    label,
    question,
    path: `${pathOf(instance)}/admin`,
    body: { state, ...(deadline ? { deadline } : {}) },
  };
}

async function send() {
  const operation = pending;
  const instance = shown?.instance;
  if (!operation || sending) return;
  if (token.get() === null) {
    openLogin('', () => void send());
    return;
  }
  const name = `${instance}: ${operation.label.toLowerCase()}`;
  sending = true;
  try {
    await call('PUT', operation.path, operation.body);
    toast(`${name}, done`);
    // The dialog may have been closed or show another instance by now.
    if (pending === operation) dialog().close();
  } catch (error) {
    if (pending !== operation) toast(`${name} failed: ${errorText(error)}`, 'bad');
    else onFailure(error);
  } finally {
    sending = false;
  }
}

/** @param {unknown} error */
function onFailure(error) {
  if (isUnauthorized(error)) {
    token.set(null);
    openLogin(TOKEN_REJECTED, () => void send());
    return;
  }
  failure = `Failed: ${errorText(error)}`;
  redraw();
}

function redraw() {
  if (latest) updateInstanceDialog(latest);
}
