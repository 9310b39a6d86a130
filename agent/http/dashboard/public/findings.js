// What the banner lists, worst first. Pure; components/banner.js draws it.
import { plural } from './format.js';

/** @import { ApiAlert, StatusDocument, StatusInstance, StatusService } from './types.d.ts' */
/** @typedef {{ tone: 'bad' | 'warn' | 'note', title: string, why: string, since: number | null, count?: number }} Finding */

const ORDER = { bad: 0, warn: 1, note: 2 };
/** More instances of a service with the same problem share one finding. */
const GROUP_ABOVE = 3;

/** A problem that an alert reports has no separate finding. @param {StatusDocument} status @returns {Finding[]} */
export function findings(status) {
  const alerts = status.alerts.filter(({ silenced, acknowledgedAt }) => !silenced && acknowledgedAt === null);
  /** @param {string} rule @param {string} [subject] */
  const hasAlert = (rule, subject = '') =>
    alerts.some((alert) => alert.rule === rule && alert.subject === subject);
  return [
    ...alertFindings(alerts),
    ...status.services.flatMap((service) => serviceFindings(service, downIsReported(service, alerts))),
    ...sinkFindings(status).filter(({ subject }) => !hasAlert('sinkFailing', subject)),
    ...(hasAlert('snapshotNotTaken') ? [] : snapshotFindings(status)),
  ].sort((a, b) => ORDER[a.tone] - ORDER[b.tone] || (b.count ?? 1) - (a.count ?? 1));
}

/** @param {ApiAlert[]} alerts @returns {Finding[]} */
function alertFindings(alerts) {
  return alerts.map(({ severity, message, startedAt }) => ({
    tone: severity === 'warning' ? 'warn' : 'bad',
    title: message,
    why: `${severity} alert`,
    since: startedAt,
  }));
}

/** @param {StatusService} service @param {ApiAlert[]} alerts */
function downIsReported({ id }, alerts) {
  const rules = ['instanceDown', 'redundancyLost', 'serviceDown', 'outlier'];
  return alerts.some(({ rule, service }) => rules.includes(rule) && service === id);
}

/** @param {StatusService} service @param {boolean} downIsReported @returns {Finding[]} */
function serviceFindings(service, downIsReported) {
  const found = stateFindings(service);
  return downIsReported ? found.filter(({ tone }) => tone === 'note') : found;
}

/** @param {StatusService} service @returns {Finding[]} */
function stateFindings({ id, instances }) {
  if (instances.length === 0) {
    return [
      { tone: 'bad', title: `${id} has no instances`, why: 'none configured, none registered', since: null },
    ];
  }
  const groups = [
    ...Map.groupBy(
      instances.filter(({ state, outlier }) => state !== 'up' || outlier),
      conditionOf,
    ),
  ];
  const found = groups.flatMap(([condition, members]) =>
    members.length > GROUP_ABOVE
      ? [groupFinding(id, condition, members, instances.length)]
      : members.map(instanceFinding),
  );
  if (instances.some(({ state }) => state === 'up' || state === 'probation')) return found;
  const many = instances.length > GROUP_ABOVE;
  const none = `none of its ${plural(instances.length, 'instance')} is up`;
  return [
    {
      tone: 'bad',
      title: `${id} takes no traffic`,
      why: many ? `${none}: ${commonReasons(instances)}` : none,
      since: Math.max(...instances.map(({ since }) => since)),
      count: instances.length,
    },
    ...(many && groups.length === 1 ? [] : found),
  ];
}

const OUTLIER_TEXTS = {
  broken: 'breaking connections',
  failing: 'failing requests',
  stalling: 'stalling',
  slow: 'slow',
};
const QUIET = ['on probation', 'draining', 'in maintenance'];

/** @param {StatusInstance} instance */
function conditionOf({ state, admin, outlier }) {
  if (state === 'up' && outlier) return OUTLIER_TEXTS[outlier.cause];
  if (state === 'probation') return 'on probation';
  if (state === 'draining') return 'draining';
  return admin === 'ready' ? 'down' : 'in maintenance';
}

/** @param {string} condition */
const toneOf = (condition) => (QUIET.includes(condition) ? 'note' : 'warn');

/** @param {StatusInstance} instance @returns {Finding} */
function instanceFinding(instance) {
  const condition = conditionOf(instance);
  const { id, reason, since, outlier } = instance;
  return {
    tone: toneOf(condition),
    title: `${id} is ${condition}`,
    why: reason,
    since: outlier?.since ?? since,
  };
}

/** @param {string} id @param {string} condition @param {StatusInstance[]} members @param {number} all @returns {Finding} */
function groupFinding(id, condition, members, all) {
  return {
    tone: toneOf(condition),
    title: `${id}: ${members.length} of ${plural(all, 'instance')} are ${condition}`,
    why: commonReasons(members),
    since: Math.min(...members.map(({ since }) => since)),
    count: members.length,
  };
}

/** The most common reasons, without the addresses in them. @param {readonly { reason: string }[]} items */
export function commonReasons(items) {
  const groups = Map.groupBy(items, ({ reason }) =>
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

/** @param {StatusDocument} status @returns {(Finding & { subject: string })[]} */
function sinkFindings(status) {
  return Object.entries(status.sinks)
    .filter(([, sink]) => sink.state !== 'ok')
    .map(([name, sink]) => {
      const waiting = sink.pending > 0 ? `; ${plural(sink.pending, 'update')} waiting` : '';
      return {
        tone: /** @type {'warn'} */ ('warn'),
        subject: name,
        title: `${name} ${sink.state === 'down' ? 'is down' : 'is failing; retrying'}`,
        why: `${sink.lastError ?? 'no success yet'}${waiting}. Traffic is not affected.`,
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
      title: 'Publishing the snapshot fails',
      why: snapshot.error,
      since: snapshot.publishedAt,
    },
  ];
}
