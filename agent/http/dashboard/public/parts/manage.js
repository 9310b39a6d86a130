import { ApiError, call, token } from '../api.js';
import { agentNow } from '../clock.js';
import { byId, h, patch } from '../dom.js';
import { ageText, plural, stateWord, whenText } from '../format.js';
import { pill } from './icons.js';
import { openLogin } from './login.js';
import { toast } from './toast.js';

/** @import { StatusInstance, StatusDocument } from '../types.d.ts' */

const dialog = () => /** @type {HTMLDialogElement} */ (byId('manage'));
/** @type {{ service: string, instance: string } | null} */
let shown = null;
/** What was asked for and waits for a second yes. @type {{ label: string, warning: string, path: string, body: unknown } | null} */
let pending = null;
/** A second press while the first is under way asks for nothing. */
let sending = false;
/** Why it was not done. */
let trouble = '';
/** @type {StatusDocument | null} */
let latest = null;

/** @param {StatusDocument} status @param {string} service @param {string} instance */
export function openManage(status, service, instance) {
  shown = { service, instance };
  pending = null;
  patch(dialog());
  refreshManage(status);
  dialog().showModal();
}

/** @param {StatusDocument} status */
export function refreshManage(status) {
  latest = status;
  if (!shown) return;
  const target = find(status);
  if (!target) {
    patch(dialog(), h('h2', { id: 'manage-title' }, `${shown.instance} is gone`), closeRow());
    return;
  }
  patch(dialog(), facts(target), pending ? confirmation(pending) : actions(target));
}

/** @param {StatusDocument} status */
function find(status) {
  const service = status.services.find((candidate) => candidate.id === shown?.service);
  return service?.instances.find((candidate) => candidate.id === shown?.instance);
}

/** @param {StatusInstance} instance */
function facts({
  id,
  service,
  url,
  state,
  reason,
  since,
  health,
  breaker,
  admin,
  weight,
  priority,
  drainDeadline,
}) {
  const deadline = drainDeadline === undefined ? '' : `, maintenance at ${whenText(drainDeadline)}`;
  return h(
    'div',
    { 'data-key': 'facts' },
    h('h2', { id: 'manage-title' }, id, h('small', {}, ` of ${service}`)),
    h(
      'p',
      {},
      pill(state, stateWord(state)),
      ' ',
      h('span', { class: 'why' }, reason),
      h('span', { class: 'age' }, ` · ${ageText(agentNow() - since)}`),
    ),
    h(
      'dl',
      { class: 'facts-list two' },
      [
        ['Address', url],
        ['Health', health],
        ['Breaker', breaker.replace('_', '-')],
        ['Asked for', admin + deadline],
        ['Weight', String(weight)],
        ['Priority', priority === 1 ? 'first' : `backup (${priority})`],
      ].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    ),
  );
}

/** @param {StatusInstance} instance */
function actions({ admin, weight }) {
  return h(
    'div',
    { class: 'actions', 'data-key': 'actions' },
    h(
      'form',
      { class: 'action', 'data-steer': 'drain' },
      h(
        'div',
        {},
        h('strong', {}, 'Drain'),
        h('p', { class: 'muted' }, 'No new sessions; those it has stay.'),
      ),
      h(
        'label',
        {},
        'Then maintenance',
        h(
          'select',
          { name: 'deadline' },
          [
            ['', 'never'],
            ['1m', 'in 1 min'],
            ['5m', 'in 5 min'],
            ['30m', 'in 30 min'],
          ].map(([value, text]) => h('option', { value: value ?? '' }, text)),
        ),
      ),
      h('button', { type: 'submit', disabled: admin === 'drain' }, 'Drain'),
    ),
    h(
      'form',
      { class: 'action', 'data-steer': 'maint' },
      h(
        'div',
        {},
        h('strong', {}, 'Maintenance'),
        h('p', { class: 'muted' }, 'No traffic at all; its sessions move.'),
      ),
      h('button', { type: 'submit', class: 'danger', disabled: admin === 'maint' }, 'Maintenance'),
    ),
    h(
      'form',
      { class: 'action', 'data-steer': 'ready' },
      h(
        'div',
        {},
        h('strong', {}, 'Ready'),
        h('p', { class: 'muted' }, 'Back to work, once its health is proved.'),
      ),
      h('button', { type: 'submit', disabled: admin === 'ready' }, 'Ready'),
    ),
    h(
      'form',
      { class: 'action', 'data-steer': 'weight' },
      h(
        'div',
        {},
        h('strong', {}, 'Weight'),
        h('p', { class: 'muted' }, 'Its share of the traffic, 1 to 256; 100 is the default.'),
      ),
      h(
        'label',
        {},
        h('span', { class: 'hidden' }, 'Weight'),
        h('input', { name: 'weight', type: 'number', min: 1, max: 256, required: true, value: weight }),
      ),
      h('button', { type: 'submit' }, 'Set'),
    ),
    closeRow(),
  );
}

/** @param {{ label: string, warning: string }} asked */
function confirmation({ label, warning }) {
  return h(
    'form',
    { class: 'confirm', 'data-key': 'confirm', 'data-steer': 'confirmed' },
    h('p', { role: 'alert' }, warning),
    trouble && h('p', { role: 'alert', class: 'error' }, trouble),
    h(
      'p',
      { class: 'dialog-actions' },
      h('button', { type: 'button', class: 'quiet', 'data-steer-back': true }, 'Back'),
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

export function setUpManage() {
  dialog().addEventListener('submit', (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.dataset.steer === 'confirmed') void send();
    else ask(form);
  });
  dialog().addEventListener('click', (event) => {
    if (!(event.target instanceof Element) || !event.target.closest('[data-steer-back]')) return;
    pending = null;
    redraw();
  });
  dialog().addEventListener('close', () => {
    shown = null;
    pending = null;
  });
}

/** @param {HTMLFormElement} form */
function ask(form) {
  const instance = latest ? find(latest) : undefined;
  if (!instance || !latest) return;
  const fields = new FormData(form);
  const steer = form.dataset.steer ?? '';
  trouble = '';
  const base = `/v1/services/${encodeURIComponent(instance.service)}/instances/${encodeURIComponent(instance.id)}`;
  const others = latest.services
    .find(({ id }) => id === instance.service)
    ?.instances.filter(
      (other) => other.id !== instance.id && ['up', 'probation'].includes(other.state),
    ).length;
  const left = others
    ? `${plural(others, 'other instance')} of ${instance.service} carr${others === 1 ? 'ies' : 'y'} on.`
    : `No other instance of ${instance.service} takes traffic: the service will be down.`;
  if (steer === 'weight') {
    const weight = Number(fields.get('weight'));
    pending = {
      label: `Set weight ${weight}`,
      warning: `Set the weight of ${instance.id} from ${instance.weight} to ${weight}?`,
      path: `${base}/weight`,
      body: { weight },
    };
  } else {
    const deadline = String(fields.get('deadline') ?? '');
    const question =
      steer === 'ready'
        ? `Take ${instance.id} back?`
        : steer === 'drain'
          ? `Drain ${instance.id}? ${left}`
          : `Take all traffic from ${instance.id} now? ${left}`;
    pending = {
      label: steer === 'maint' ? 'Maintenance' : steer === 'drain' ? 'Drain' : 'Ready',
      warning: question,
      path: `${base}/admin`,
      body: { state: steer, ...(deadline ? { deadline } : {}) },
    };
  }
  redraw();
  dialog().querySelector('button[autofocus]')?.dispatchEvent(new Event('focus'));
  /** @type {HTMLElement | null} */ (dialog().querySelector('button[autofocus]'))?.focus();
}

async function send() {
  const asked = pending;
  const of = shown?.instance;
  if (!asked || sending) return;
  if (token.get() === null) {
    openLogin('', () => void send());
    return;
  }
  sending = true;
  try {
    await call('PUT', asked.path, asked.body);
    toast(`${of}: ${asked.label.toLowerCase()}, done`);
    // The dialog may have been closed meanwhile, and be another instance's by now.
    if (pending === asked) dialog().close();
  } catch (error) {
    const why = `Not done: ${error instanceof Error ? error.message : error}`;
    if (pending !== asked) {
      toast(`${of}: ${asked.label.toLowerCase()}. ${why}`, 'bad');
      return;
    }
    if (error instanceof ApiError && error.status === 401) {
      token.set(null);
      openLogin('The agent does not accept this token any more.', () => void send());
      return;
    }
    trouble = why;
    redraw();
  } finally {
    sending = false;
  }
}

function redraw() {
  if (latest) refreshManage(latest);
}
