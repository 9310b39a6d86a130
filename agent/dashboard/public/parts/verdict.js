import { byId, h, patch } from '../dom.js';
import { ageText, plural, whenText } from '../format.js';
import { icon } from './icons.js';

/** @import { LiveStatus } from '../types.d.ts' */
/** @typedef {{ tone: 'bad' | 'warn' | 'note', title: string, why: string, since: number | null }} Finding */

const ORDER = { bad: 0, warn: 1, note: 2 };

/** Everything that is not as it should be, worst first. @param {LiveStatus} status @returns {Finding[]} */
export function findings(status) {
  return [
    ...status.services.flatMap(serviceFindings),
    ...sinkFindings(status),
    ...snapshotFindings(status),
  ].sort((a, b) => ORDER[a.tone] - ORDER[b.tone]);
}

/** @param {LiveStatus['services'][number]} service @returns {Finding[]} */
function serviceFindings({ id, instances }) {
  if (instances.length === 0) {
    return [
      { tone: 'bad', title: `${id} has no instance`, why: 'none in the file, none registered', since: null },
    ];
  }
  const serving = instances.filter((instance) => ['up', 'probation'].includes(instance.state));
  /** @type {Finding[]} */
  const found = [];
  if (serving.length === 0) {
    const since = Math.max(...instances.map((instance) => instance.since));
    found.push({
      tone: 'bad',
      title: `${id} takes no traffic`,
      why: `none of its ${plural(instances.length, 'instance')} is up`,
      since,
    });
  }
  for (const { id: instance, state, admin, reason, since } of instances) {
    if (state === 'up') continue;
    const asked = admin !== 'ready';
    const word =
      state === 'probation'
        ? 'is on probation'
        : state === 'draining'
          ? 'is draining'
          : asked
            ? 'is in maintenance'
            : 'is down';
    const tone = asked || state === 'probation' ? 'note' : 'warn';
    found.push({ tone, title: `${instance} ${word}`, why: reason, since });
  }
  return found;
}

/** @param {LiveStatus} status @returns {Finding[]} */
function sinkFindings(status) {
  return Object.entries(status.sinks)
    .filter(([, sink]) => sink.state !== 'ok')
    .map(([name, sink]) => {
      const waiting = sink.pending > 0 ? `; ${plural(sink.pending, 'update')} waiting` : '';
      const why = `${sink.lastError ?? 'no success yet'}${waiting}. Traffic is not held up by it.`;
      return {
        tone: 'warn',
        title: `${name} ${sink.state === 'down' ? 'is down' : 'is not answering'}`,
        why,
        since: sink.lastSuccess,
      };
    });
}

/** @param {LiveStatus} status @returns {Finding[]} */
function snapshotFindings({ snapshot }) {
  if (!snapshot.error) return [];
  return [
    {
      tone: 'warn',
      title: 'The snapshot is not getting out',
      why: snapshot.error,
      since: snapshot.publishedAt,
    },
  ];
}

/** @param {LiveStatus} status */
export function drawVerdict(status) {
  const found = findings(status);
  const tone = found[0]?.tone ?? 'fine';
  const instances = status.services.flatMap((service) => service.instances);
  const up = instances.filter((instance) => instance.state === 'up').length;
  const serious = found.filter((finding) => finding.tone !== 'note');
  const title =
    tone === 'bad' || tone === 'warn'
      ? serious.length === 1
        ? (serious[0]?.title ?? '')
        : `${plural(serious.length, 'thing')} need${serious.length === 1 ? 's' : ''} a look`
      : 'Everything is all right';
  const lead = `${up} of ${plural(instances.length, 'instance')} up, ${plural(status.services.length, 'service')}`;
  const shown = found.slice(0, 6);
  byId('verdict').className = `verdict ${tone}`;
  patch(
    byId('verdict'),
    h(
      'div',
      { class: 'verdict-head' },
      h('span', { class: 'verdict-mark' }, icon(tone)),
      h('div', {}, h('h1', {}, title), h('p', {}, lead, lastChange(status))),
    ),
    shown.length > 0 &&
      h(
        'ul',
        { class: 'findings' },
        shown.map((finding) => drawFinding(finding)),
      ),
    found.length > shown.length &&
      h('p', { class: 'muted' }, `and ${found.length - shown.length} more below`),
  );
  document.title = `${tone === 'fine' || tone === 'note' ? '' : `(${serious.length}) `}acgs-lb ${status.site}`;
}

/** @param {LiveStatus} status */
function lastChange(status) {
  const last = status.changes[0];
  return last ? `; last change ${whenText(last.at)}` : '';
}

/** The age stands outside the text that is read out: else a screen reader would speak every second. @param {Finding} finding */
function drawFinding({ tone, title, why, since }) {
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': title },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h('span', {}, h('strong', {}, title), ' ', h('span', { class: 'why' }, why)),
    since !== null &&
      h(
        'span',
        { class: 'since' },
        `since ${whenText(since)}`,
        h('span', { class: 'age', 'aria-hidden': 'true' }, ` · ${ageText(Date.now() - since)}`),
      ),
  );
}
