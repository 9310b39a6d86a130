// What is not as it should be, in words, worst first. Pure: the drawing is in parts/verdict.js.
import { plural } from './format.js';
import { alertFindings } from './parts/alerts.js';

/** @import { StatusInstance, StatusService, StatusDocument } from './types.d.ts' */
/** @typedef {{ tone: 'bad' | 'warn' | 'note', title: string, why: string, since: number | null, count?: number }} Finding */

const ORDER = { bad: 0, warn: 1, note: 2 };
/** More of a service's instances in the same plight are told as one. */
const TOGETHER = 3;

/** @param {StatusDocument} status @param {import('./parts/alerts.js').Alert[]} alerts @returns {Finding[]} */
export function findings(status, alerts) {
  /** @type {Finding[]} */
  const found = [
    ...alertFindings(alerts),
    ...status.services.flatMap(serviceFindings),
    ...sinkFindings(status),
    ...snapshotFindings(status),
  ];
  return found.sort((a, b) => ORDER[a.tone] - ORDER[b.tone] || (b.count ?? 1) - (a.count ?? 1));
}

/** @param {StatusService} service @returns {Finding[]} */
function serviceFindings({ id, instances }) {
  if (instances.length === 0) {
    return [
      { tone: 'bad', title: `${id} has no instance`, why: 'none in the file, none registered', since: null },
    ];
  }
  const troubled = instances.filter(({ state }) => state !== 'up');
  const groups = [...Map.groupBy(troubled, wordOf)];
  const found = groups.flatMap(([word, members]) =>
    members.length > TOGETHER
      ? [together(id, word, members, instances.length)]
      : members.map((instance) => alone(instance)),
  );
  if (instances.some(({ state }) => state === 'up' || state === 'probation')) return found;
  const since = Math.max(...instances.map((instance) => instance.since));
  const many = instances.length > TOGETHER;
  const none = `none of its ${plural(instances.length, 'instance')} is up`;
  return [
    {
      tone: 'bad',
      title: `${id} takes no traffic`,
      why: many ? `${none}: ${reasonsOf(instances)}` : none,
      since,
      count: instances.length,
    },
    ...(many && groups.length === 1 ? [] : found),
  ];
}

/** @param {StatusInstance} instance */
function wordOf({ state, admin }) {
  if (state === 'probation') return 'on probation';
  if (state === 'draining') return 'draining';
  return admin === 'ready' ? 'down' : 'in maintenance';
}

/** @param {string} word */
const toneOf = (word) => (word === 'down' ? 'warn' : 'note');

/** @param {StatusInstance} instance @returns {Finding} */
function alone(instance) {
  const word = wordOf(instance);
  const { id, reason, since } = instance;
  return { tone: toneOf(word), title: `${id} is ${word}`, why: reason, since };
}

/** @param {string} id @param {string} word @param {StatusInstance[]} members @param {number} all @returns {Finding} */
function together(id, word, members, all) {
  return {
    tone: toneOf(word),
    title: `${id}: ${members.length} of ${plural(all, 'instance')} are ${word}`,
    why: reasonsOf(members),
    since: Math.min(...members.map(({ since }) => since)),
    count: members.length,
  };
}

/** The commonest reasons, an address in them left out. @param {readonly { reason: string }[]} told */
export function reasonsOf(told) {
  const groups = Map.groupBy(told, ({ reason }) =>
    reason.replace(/\s*(\[[\da-f:]+\]|\d{1,3}(\.\d{1,3}){3})(:\d+)?/gi, ''),
  );
  const ranked = [...groups].toSorted(([, a], [, b]) => b.length - a.length);
  if (ranked.length === 1) return ranked[0]?.[0] ?? '';
  const rest = ranked.slice(2).reduce((sum, [, members]) => sum + members.length, 0);
  return [
    ...ranked.slice(0, 2).map(([reason, members]) => `${members.length} × ${reason}`),
    ...(rest > 0 ? [`${rest} × other reasons`] : []),
  ].join('; ');
}

/** @param {StatusDocument} status @returns {Finding[]} */
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

/** @param {StatusDocument} status @returns {Finding[]} */
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
