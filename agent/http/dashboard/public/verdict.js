// What is wrong, since when, who was notified, and what to do: one verdict for the dashboard and for `acgs-lb status`.
// Pure, and without imports: Node and the browser load this file as it is.

/** @import { ApiAlert, StatusDocument, StatusInstance, StatusService } from './types.d.ts' */
/** @typedef {'edge' | 'gateway' | 'service' | 'agent'} Place where on the path of a request */
/**
 * @typedef {object} Problem One cause, with everything that follows from it.
 * @property {'bad' | 'warn' | 'note'} tone `note`: a person did it, or it ends by itself
 * @property {Place} place
 * @property {string} service '' for the site
 * @property {string[]} instances
 * @property {string} title
 * @property {string} why
 * @property {string} message title and cause in one line
 * @property {number | null} since
 * @property {string} notified whether an alert was sent, or who silenced it
 * @property {string} action what to do
 * @property {string} rule the alert rule, '' without an alert
 * @property {boolean} clients whether clients notice it
 * @property {string[]} effects messages of other alerts that this cause explains
 */
/** @typedef {{ tone: 'bad' | 'warn' | 'fine', headline: string, counts: string, problems: Problem[], notes: Problem[] }} Verdict */

const ORDER = { bad: 0, warn: 1, note: 2 };
/** The names of up to this many instances are listed. */
const MAX_NAMES = 3;

/** Rules about the instances of a service: one cause, whatever its severity. */
const SERVING_RULES = ['instanceDown', 'redundancyLost', 'serviceDown'];
/** Rules about what clients see: an effect when an instance of the service is the cause. */
const FIGURE_RULES = ['p95Ms', 'availabilityPercent', 'errorPercent'];

const ACTIONS = /** @type {Record<string, string>} */ ({
  serviceDown: 'Start any instance of the service, or undo the last deploy.',
  redundancyLost: 'Restore the failed instance before the last one fails too.',
  instanceDown: 'Restart the failed instance; read its log and the log of its host.',
  outlier: 'Look at its host and its last deploy. To take it out: set it to maintenance.',
  instanceFull: 'Raise maxconn or longLived.maxconn if the instance can do more; else add instances.',
  p95Ms: 'Compare the instances: one slow instance, or something that all of them share.',
  availabilityPercent:
    'Find the instance that fails. If all fail: a database, the last deploy, a certificate.',
  errorPercent: 'Find the instance that fails. If all fail: a database, the last deploy, a certificate.',
  users: 'See which resource is scarce: acgs-lb capacity.',
  cpuPercent: 'See which process uses the agent’s host; HAProxy runs there too.',
  memoryPercent: 'See which process uses the agent’s host; HAProxy runs there too.',
  sinkFailing: 'Run acgs-lb doctor. Traffic is not affected.',
  edgeSilent: 'Check that clients come through the edge, its gateway key, and both clocks.',
  snapshotNotTaken: 'Publish again: acgs-lb publish. Then run acgs-lb doctor.',
  configRefused: 'List the errors of the file: acgs-lb check.',
  sourceFailing: 'The last list stays in force. Repair the source: acgs-lb status names it.',
  listRefused: 'No instance is removed. Correct what the source lists.',
  receiverFailing: 'Correct the receiver or its address, then run acgs-lb alerts test.',
  certificateExpiry: 'Renew the certificate and reload HAProxy.',
  spoolDisk: 'Bring Postgres back, or free disk space.',
});

/** @param {StatusDocument} status @returns {Verdict} */
export function verdictOf(status) {
  const all = findProblems(status);
  const problems = all.filter(({ tone }) => tone !== 'note');
  const notes = all.filter(({ tone }) => tone === 'note');
  const [worst, ...others] = problems;
  const counts = countsText(status.services);
  if (!worst) return { tone: 'fine', headline: 'All services are healthy', counts, problems, notes };
  const more = others.length > 0 ? ` (and ${plural(others.length, 'more problem')})` : '';
  return {
    tone: worst.tone === 'bad' ? 'bad' : 'warn',
    headline: `${worst.message}${more}`,
    counts,
    problems,
    notes,
  };
}

/** Worst first. @param {StatusDocument} status @returns {Problem[]} */
function findProblems(status) {
  const open = status.alerts.filter(({ silenced, acknowledgedAt }) => !silenced && acknowledgedAt === null);
  const hosts = open.filter(({ rule, service, subject }) => rule === 'instanceDown' && !service && subject);
  const explained = new Set(hosts.map(({ subject }) => subject));
  const siteAlerts = open.filter(({ service }) => service === '').map((alert) => alertProblem(alert, []));
  const known = (/** @type {string} */ rule, subject = '') =>
    open.some((alert) => alert.rule === rule && alert.subject === subject);
  return [
    ...siteAlerts,
    ...status.services.flatMap((service) => serviceProblems(service, status.alerts, explained)),
    ...sinkProblems(status).filter(({ subject }) => !known('sinkFailing', subject)),
    ...(known('snapshotNotTaken') ? [] : snapshotProblems(status)),
    ...(status.advice ?? []).map(adviceNote),
  ].sort((a, b) => ORDER[a.tone] - ORDER[b.tone] || b.instances.length - a.instances.length);
}

/**
 * @param {StatusService} service @param {readonly ApiAlert[]} alerts
 * @param {ReadonlySet<string>} explained hosts whose failure is a problem of its own
 * @returns {Problem[]}
 */
function serviceProblems(service, alerts, explained) {
  const own = alerts.filter((alert) => alert.service === service.id);
  const open = own.filter(({ silenced, acknowledgedAt }) => !silenced && acknowledgedAt === null);
  const figures = open.filter(({ rule }) => FIGURE_RULES.includes(rule));
  const states = stateProblems(service, explained);
  const causes = open
    .filter(({ rule }) => !FIGURE_RULES.includes(rule))
    .map((alert) => alertProblem(alert, namesFor(alert, states)));
  const hasServing = causes.some(({ rule }) => SERVING_RULES.includes(rule));
  const hasOutlier = causes.some(({ rule }) => rule === 'outlier');
  for (const state of states) {
    if (state.kind === 'outlier' ? hasOutlier : state.kind === 'down' && hasServing) continue;
    causes.push({ ...state, notified: quietText(own, state.kind) ?? state.notified });
  }
  const [first] = causes.filter(({ tone }) => tone !== 'note');
  const [worst, ...rest] = figures;
  if (!first) return worst ? [...causes, { ...alertProblem(worst, []), effects: messagesOf(rest) }] : causes;
  first.effects = messagesOf(figures);
  first.clients ||= figures.length > 0;
  if (figures.some(({ severity }) => severity !== 'warning')) first.tone = 'bad';
  return causes;
}

/** @param {readonly ApiAlert[]} alerts */
const messagesOf = (alerts) => alerts.map(({ message }) => message);

/** The instances that an alert is about. @param {ApiAlert} alert @param {readonly StateProblem[]} states */
function namesFor({ rule }, states) {
  const kind = rule === 'outlier' ? 'outlier' : 'down';
  return states.filter((state) => state.kind === kind).flatMap(({ instances }) => instances);
}

/** Why no notification of a state is sent. @param {readonly ApiAlert[]} alerts @param {StateProblem['kind']} kind */
function quietText(alerts, kind) {
  const rules = kind === 'outlier' ? ['outlier'] : SERVING_RULES;
  const alert = alerts.find(({ rule }) => rules.includes(rule));
  if (!alert || kind === 'note') return null;
  if (alert.acknowledgedAt !== null) return `acknowledged by ${alert.acknowledgedBy ?? 'unknown'}`;
  return alert.silenced ? 'silenced' : null;
}

/** @param {ApiAlert} alert @param {string[]} instances @returns {Problem} */
function alertProblem({ rule, service, subject, severity, message, startedAt, notified }, instances) {
  // Conditions name the effect first, then the causes.
  const cut = FIGURE_RULES.includes(rule) ? -1 : message.indexOf('; ');
  return {
    tone: severity === 'warning' ? 'warn' : 'bad',
    place: placeOf(rule, service, subject),
    service,
    instances,
    title: cut < 0 ? message : message.slice(0, cut),
    why: cut < 0 ? '' : message.slice(cut + 2),
    message,
    since: startedAt,
    notified: `${severity} alert, ${notified === 0 ? 'not sent yet' : `sent ${timesText(notified)}`}`,
    action: ACTIONS[rule] ?? 'See docs/incident.md.',
    rule,
    clients: rule === 'serviceDown' || FIGURE_RULES.includes(rule),
    effects: [],
  };
}

/** @param {number} count */
const timesText = (count) => (count === 1 ? 'once' : `${count} times`);

/** @param {string} rule @param {string} service @param {string} subject @returns {Place} */
function placeOf(rule, service, subject) {
  if (service !== '' || rule === 'instanceDown') return 'service';
  if (rule === 'edgeSilent' || rule === 'snapshotNotTaken') return 'edge';
  if (rule === 'users' || rule === 'certificateExpiry') return 'gateway';
  return rule === 'sinkFailing' && subject.startsWith('haproxy') ? 'gateway' : 'agent';
}

/** @typedef {Problem & { kind: 'down' | 'outlier' | 'note' }} StateProblem */

/** @param {StatusService} service @param {ReadonlySet<string>} explained @returns {StateProblem[]} */
function stateProblems(service, explained) {
  const { id, instances } = service;
  if (instances.length === 0) {
    const why = 'none configured, none registered';
    const found = problemOf(service, 'down', [], { title: `${id} has no instances`, why });
    return [{ ...found, tone: 'bad', clients: true }];
  }
  const affected = instances.filter(({ state, outlier }) => state !== 'up' || outlier);
  const visible = affected.filter(({ url }) => !explained.has(hostOf(url)));
  if (visible.length > 0 && !instances.some(({ state }) => state === 'up' || state === 'probation')) {
    const why = `none of its ${plural(instances.length, 'instance')} is up: ${commonReasons(instances)}`;
    const found = problemOf(service, 'down', instances, { title: `${id} takes no traffic`, why });
    return [
      {
        ...found,
        tone: 'bad',
        clients: true,
        since: Math.max(...instances.map(({ since }) => since)),
        action: ACTIONS.serviceDown ?? '',
      },
    ];
  }
  return [...Map.groupBy(visible, conditionOf)].map(([condition, members]) =>
    problemOf(service, kindOf(condition), members, {
      title: groupTitle(service, condition, members),
      why: commonReasons(members),
    }),
  );
}

/** @param {StatusService} service @param {string} condition @param {StatusInstance[]} members */
function groupTitle({ id, instances }, condition, members) {
  if (members.length > MAX_NAMES)
    return `${id}: ${members.length} of ${plural(instances.length, 'instance')} are ${condition}`;
  const names = members.map((member) => member.id).join(', ');
  return `${names} ${members.length === 1 ? 'is' : 'are'} ${condition}`;
}

/**
 * @param {StatusService} service @param {StateProblem['kind']} kind @param {StatusInstance[]} members
 * @param {{ title: string, why: string }} texts
 * @returns {StateProblem}
 */
function problemOf({ id }, kind, members, { title, why }) {
  const starts = members.map(({ since, outlier }) => outlier?.since ?? since);
  return {
    kind,
    tone: kind === 'note' ? 'note' : 'warn',
    place: 'service',
    service: id,
    instances: members.map((member) => member.id),
    title,
    why,
    message: `${title}: ${why}`,
    since: starts.length > 0 ? Math.min(...starts) : null,
    notified: kind === 'note' ? '' : 'no alert yet',
    action: kind === 'note' ? '' : (ACTIONS[kind === 'outlier' ? 'outlier' : 'instanceDown'] ?? ''),
    rule: '',
    clients: false,
    effects: [],
  };
}

const OUTLIER_TEXTS = {
  broken: 'breaking connections',
  failing: 'failing requests',
  stalling: 'stalling',
  slow: 'slow',
};
const QUIET = ['on probation', 'draining', 'in maintenance'];

/** @param {string} condition @returns {StateProblem['kind']} */
function kindOf(condition) {
  if (QUIET.includes(condition)) return 'note';
  return condition === 'down' ? 'down' : 'outlier';
}

/** @param {StatusInstance} instance */
function conditionOf({ state, admin, outlier }) {
  if (state === 'up' && outlier) return OUTLIER_TEXTS[outlier.cause];
  if (state === 'probation') return 'on probation';
  if (state === 'draining') return 'draining';
  return admin === 'ready' ? 'down' : 'in maintenance';
}

/** @param {string} url */
const hostOf = (url) => URL.parse(url)?.hostname ?? '';

/** The most common reasons, without the addresses in them. @param {readonly { reason: string }[]} items */
export function commonReasons(items) {
  const groups = Map.groupBy(items, ({ reason }) =>
    items.length === 1 ? reason : reason.replace(/\s*(\[[\da-f:]+\]|\d{1,3}(\.\d{1,3}){3})(:\d+)?/gi, ''),
  );
  const ranked = [...groups].toSorted(([, a], [, b]) => b.length - a.length);
  if (ranked.length === 1) return ranked[0]?.[0] ?? '';
  const rest = ranked.slice(2).reduce((sum, [, members]) => sum + members.length, 0);
  return [
    ...ranked.slice(0, 2).map(([reason, members]) => `${members.length} × ${reason}`),
    ...(rest > 0 ? [`${rest} × other reasons`] : []),
  ].join('; ');
}

/** @param {StatusDocument} status @returns {(Problem & { subject: string })[]} */
function sinkProblems(status) {
  return Object.entries(status.sinks)
    .filter(([, sink]) => sink.state !== 'ok')
    .map(([name, sink]) => {
      const waiting = sink.pending > 0 ? `; ${plural(sink.pending, 'update')} waiting` : '';
      const title = `${name} ${sink.state === 'down' ? 'is down' : 'is failing; retrying'}`;
      const why = `${sink.lastError ?? 'no success yet'}${waiting}. Traffic is not affected.`;
      return {
        ...siteProblem(title, why, sink.lastSuccess),
        subject: name,
        place: placeOf('sinkFailing', '', name),
        action: ACTIONS.sinkFailing ?? '',
      };
    });
}

/** @param {StatusDocument} status @returns {Problem[]} */
function snapshotProblems({ snapshot }) {
  if (!snapshot.error) return [];
  return [
    {
      ...siteProblem('Publishing the snapshot fails', snapshot.error, snapshot.publishedAt),
      place: 'edge',
      action: ACTIONS.snapshotNotTaken ?? '',
    },
  ];
}

/** A setting that does not fit the traffic. @param {{ service: string, message: string, action: string }} advice @returns {Problem} */
const adviceNote = ({ service, message, action }) => ({
  ...siteProblem(`Settings of ${service}`, message, null),
  tone: 'note',
  place: 'service',
  service,
  notified: '',
  action,
});

/** @param {string} title @param {string} why @param {number | null} since @returns {Problem} */
function siteProblem(title, why, since) {
  return {
    tone: 'warn',
    place: 'agent',
    service: '',
    instances: [],
    title,
    why,
    message: `${title}: ${why}`,
    since,
    notified: 'no alert yet',
    action: '',
    rule: '',
    clients: false,
    effects: [],
  };
}

/** "all 14 instances of 7 services up". @param {readonly StatusService[]} services */
function countsText(services) {
  const instances = services.flatMap((service) => service.instances);
  const name = services.length === 1 ? services[0]?.id : plural(services.length, 'service');
  const up = instances.filter(({ state }) => state === 'up').length;
  if (up === instances.length && up !== 1) return `all ${plural(up, 'instance')} of ${name} up`;
  const down = instances.filter((instance) => instance.state !== 'up').map(conditionOf);
  const rest = ['down', ...QUIET.toReversed()].flatMap((condition) => {
    const count = down.filter((each) => each === condition).length;
    return count > 0 ? [`${count} ${condition}`] : [];
  });
  return [`${up} of ${plural(instances.length, 'instance')} of ${name} up`, ...rest].join(', ');
}

/** @param {number} count @param {string} noun */
const plural = (count, noun) => {
  // The first number that is formatted for a locale takes 15 ms, a tenth of what the command takes.
  const figure = count < 1_000 ? String(count) : count.toLocaleString('en-GB');
  return `${figure} ${noun}${count === 1 ? '' : 's'}`;
};
