import { byId, h, patch } from '../dom.js';
import { reasonsOf } from '../findings.js';
import { stateWord, whenText } from '../format.js';
import { icon } from './icons.js';

/** @import { StatusDocument } from '../types.d.ts' */
/** @typedef {StatusDocument['changes'][number]} Change */

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

const MOST = 40;
/** More of the same within this time are one line. */
const TOGETHER = 3;
const TOGETHER_MS = 10_000;

/** @param {StatusDocument} status */
export function drawEvents({ changes }) {
  patch(
    byId('events'),
    changes.length === 0
      ? h('p', { class: 'empty' }, 'Nothing has changed since the agent started.')
      : h('ol', { class: 'events' }, lines(news(changes)).slice(0, MOST).map(drawLine)),
  );
}

/** @param {Change[]} line */
function drawLine(line) {
  const [change] = line;
  if (!change) return null;
  const tone = TONES[change.to ?? ''] ?? 'note';
  const many = line.length > 1;
  return h(
    'li',
    {
      class: tone,
      'data-key': `${change.at} ${change.service}/${change.instance} ${change.kind} ${change.to ?? ''}`,
    },
    h('time', { datetime: new Date(change.at).toISOString() }, whenText(change.at)),
    h('span', { class: 'finding-mark' }, icon(tone)),
    h(
      'span',
      {},
      h('strong', {}, many ? `${line.length} instances of ${change.service}` : change.instance),
      ` ${wordOf(change)} `,
      h('span', { class: 'why' }, many ? reasonsOf(line) : change.reason),
    ),
  );
}

/** What happened to many at nearly the same time as one line; newest first. @param {Change[]} changes */
function lines(changes) {
  /** @type {Map<string, Change[]>} */
  const open = new Map();
  const groups = [];
  for (const change of changes) {
    const key = `${change.service} ${change.kind} ${change.to}`;
    const group = open.get(key);
    if (group?.[0] && group[0].at - change.at <= TOGETHER_MS) group.push(change);
    else {
      const begun = [change];
      open.set(key, begun);
      groups.push(begun);
    }
  }
  return groups
    .flatMap((group) => (group.length > TOGETHER ? [group] : group.map((change) => [change])))
    .sort((a, b) => (b[0]?.at ?? 0) - (a[0]?.at ?? 0));
}

/** Without what another line says already: a state that follows from a health has its own. @param {Change[]} changes */
function news(changes) {
  const told = new Set(
    changes.filter(({ kind }) => kind === 'state').map(({ at, instance }) => `${at} ${instance}`),
  );
  return changes.filter(({ kind, at, instance }) => kind !== 'health' || !told.has(`${at} ${instance}`));
}

/** @param {Change} change */
function wordOf({ kind, to = '' }) {
  if (kind === 'state') return stateWord(to);
  if (kind === 'admin') return to === 'ready' ? 'asked back' : `${to} asked for`;
  if (kind === 'weight') return `weight ${to}`;
  if (kind === 'registered' || kind === 'deregistered') return kind;
  return `${kind} ${to.replace('_', '-')}`;
}
