import { byId, h, patch } from '../dom.js';
import { ageText, plural, whenText } from '../format.js';
import { alertFindings } from './alerts.js';
import { icon } from './icons.js';

/** @import { LiveStatus } from '../types.d.ts' */
/** @typedef {{ tone: 'bad' | 'warn' | 'note', title: string, why: string, since: number | null }} Finding */

const MOST = 6;
const ORDER = { bad: 0, warn: 1, note: 2 };

/**
 * Everything that is not as it should be, worst first.
 * @param {LiveStatus} status @param {import('./alerts.js').Alert[]} alerts @returns {Finding[]}
 */
export function findings(status, alerts) {
  return [
    ...alertFindings(alerts),
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

/** @param {LiveStatus} status @param {import('./alerts.js').Alert[]} alerts */
export function drawVerdict(status, alerts) {
  const found = findings(status, alerts);
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
  // A single trouble is the heading itself; a list would only say it twice.
  const alone = found.length === 1 && serious.length === 1 ? found[0] : undefined;
  const shown = alone ? [] : found.slice(0, MOST);
  byId('verdict').className = `verdict ${tone}`;
  patch(
    byId('verdict'),
    h(
      'div',
      { class: 'verdict-head' },
      h('span', { class: 'verdict-mark' }, icon(tone)),
      h(
        'div',
        {},
        h('h1', {}, title),
        alone && h('p', { class: 'alone' }, h('span', { class: 'why' }, alone.why), sinceText(alone.since)),
        h('p', {}, lead, lastChange(status)),
      ),
    ),
    shown.length > 0 &&
      h(
        'ul',
        { class: 'findings' },
        shown.map((finding) => drawFinding(finding)),
      ),
    !alone &&
      found.length > shown.length &&
      h('p', { class: 'muted' }, `and ${found.length - shown.length} more below`),
  );
  announce([title, ...found.slice(0, MOST).map((finding) => `${finding.title}: ${finding.why}`)].join('. '));
  document.title = `${tone === 'fine' || tone === 'note' ? '' : `(${serious.length}) `}acgs-lb ${status.site}`;
}

/** @param {LiveStatus} status */
function lastChange(status) {
  const last = status.changes[0];
  return last ? `; last change ${whenText(last.at)}` : '';
}

/** @param {Finding} finding */
function drawFinding({ tone, title, why, since }) {
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': title },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h('span', {}, h('strong', {}, title), ' ', h('span', { class: 'why' }, why)),
    sinceText(since),
  );
}

/** @param {number | null} since */
function sinceText(since) {
  return (
    since !== null &&
    h(
      'span',
      { class: 'since' },
      `since ${whenText(since)}`,
      h('span', { class: 'age' }, ` · ${ageText(Date.now() - since)}`),
    )
  );
}

/** Read out only when the sentence itself is another: the page's clock must not speak every second. @param {string} sentence */
function announce(sentence) {
  const element = byId('announce');
  if (element.textContent !== sentence) element.textContent = sentence;
}
