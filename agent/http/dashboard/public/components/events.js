import { byId, h, patch } from '../dom.js';
import { stateText, whenText } from '../format.js';
import { commonReasons } from '../verdict.js';
import { icon } from './icons.js';

/** @import { ApiChange, StatusDocument } from '../types.d.ts' */

const TONES = /** @type {Record<string, string>} */ ({
  up: 'fine',
  ready: 'fine',
  closed: 'fine',
  down: 'bad',
  open: 'bad',
  maint: 'note',
  drain: 'note',
  draining: 'note',
  probation: 'note',
  half_open: 'note',
});

const MAX_LINES = 40;
/** More equal changes of a service within this time share one line. */
const GROUP_ABOVE = 3;
const GROUP_MS = 10_000;

/** @param {StatusDocument} status */
export function drawEvents({ changes }) {
  patch(
    byId('events'),
    changes.length === 0
      ? h('p', { class: 'empty' }, 'No changes since the agent started.')
      : h(
          'ol',
          { class: 'events' },
          groupChanges(withoutRedundantHealth(changes)).slice(0, MAX_LINES).map(drawLine),
        ),
  );
}

/** @param {ApiChange[]} group */
function drawLine(group) {
  const [change] = group;
  if (!change) return null;
  const tone = TONES[change.to ?? ''] ?? 'note';
  const many = group.length > 1;
  return h(
    'li',
    {
      class: tone,
      'data-key': `${change.at} ${change.service}/${change.instance} ${change.kind} ${change.to ?? ''} ${change.kind === 'config' ? change.reason : ''}`,
    },
    h('time', { datetime: new Date(change.at).toISOString() }, whenText(change.at)),
    h('span', { class: 'finding-mark' }, icon(tone)),
    h(
      'span',
      {},
      h('strong', {}, subjectOf(group, change)),
      ` ${textOf(change)} `,
      h('span', { class: 'why' }, many ? commonReasons(group) : change.reason),
    ),
  );
}

/** @param {ApiChange[]} group @param {ApiChange} change */
function subjectOf(group, { kind, service, instance }) {
  if (kind === 'config') return 'Configuration';
  return group.length > 1 ? `${group.length} instances of ${service}` : instance;
}

/** Groups equal changes that happened at nearly the same time; newest first. @param {ApiChange[]} changes */
function groupChanges(changes) {
  /** @type {Map<string, ApiChange[]>} */
  const open = new Map();
  const groups = [];
  for (const change of changes) {
    const own = change.kind === 'config' ? change.reason : '';
    const key = `${change.service} ${change.kind} ${change.to} ${own}`;
    const group = open.get(key);
    if (group?.[0] && group[0].at - change.at <= GROUP_MS) group.push(change);
    else {
      const started = [change];
      open.set(key, started);
      groups.push(started);
    }
  }
  return groups
    .flatMap((group) => (group.length > GROUP_ABOVE ? [group] : group.map((change) => [change])))
    .sort((a, b) => (b[0]?.at ?? 0) - (a[0]?.at ?? 0));
}

/** Leaves out changes of health that caused a change of state, which has its own line. @param {ApiChange[]} changes */
function withoutRedundantHealth(changes) {
  const withState = new Set(
    changes.filter(({ kind }) => kind === 'state').map(({ at, instance }) => `${at} ${instance}`),
  );
  return changes.filter(({ kind, at, instance }) => kind !== 'health' || !withState.has(`${at} ${instance}`));
}

/** @param {ApiChange} change */
function textOf({ kind, to = '', by }) {
  if (kind === 'state') return stateText(to);
  if (kind === 'admin') return `set to ${to}`;
  if (kind === 'weight') return `weight ${to}`;
  if (kind === 'config') return by ? `changed by ${by}:` : 'changed:';
  if (kind === 'registered' || kind === 'deregistered') return kind;
  return `${kind} ${to.replace('_', '-')}`;
}
