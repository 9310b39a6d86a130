import { isServingState } from '../../../shared/serving.ts';
import type { Instance } from '../../core/state.ts';
import { memoize } from '../../lib/memoize.ts';
import { type Severity, WORST_FIRST } from '../severity.ts';
import { alertKey, type Condition } from './condition.ts';

export interface ServingInput {
  services: readonly string[];
  instances: Iterable<Instance>;
  /** Keys of the open alerts. An open alert keeps the instances that it covers. */
  open: ReadonlySet<string>;
  now: number;
}

interface ServingView {
  id: string;
  all: Instance[];
  serving: Instance[];
  /** Down, but not by an operator's command. */
  failed: Instance[];
}

/** How long an instance waits for the others of its host, whose probes fail as well, to be grouped with them. */
const SETTLE_MS = 8_000;

/**
 * One condition for each service with a failed instance; its severity rises when one instance is left and when none is.
 * A host of several services, all of whose instances failed, is one condition instead: one cause, one alert.
 */
export function servingConditions({ services, instances, open, now }: ServingInput): Condition[] {
  const all = [...instances];
  const byService = Map.groupBy(all, ({ service }) => service);
  const views = new Map(services.map((id) => [id, viewOf(id, byService.get(id) ?? [])]));
  // Usually all serve, and only hosts with a failed instance matter.
  const failedHosts = new Set(all.filter(hasFailed).map(hostOf));
  const suspects = failedHosts.size > 0 ? all.filter((each) => failedHosts.has(hostOf(each))) : [];
  const hosts = hostsOf(suspects, open);
  const covered = new Set(hosts.flatMap(({ failed }) => failed));
  const settling = settlingInstances(suspects, now);
  const hostConditions = hosts.map((host) => hostCondition(host, views));
  const serviceConditions = [...views.values()].flatMap((view) => {
    const condition = serviceCondition(view);
    if (!condition) return [];
    const isOpen = open.has(alertKey(condition));
    const elsewhere = view.failed.length > 0 && view.failed.every((each) => covered.has(each));
    const waits = view.failed.length > 0 && view.failed.every((each) => settling.has(each));
    return !isOpen && (elsewhere || waits) ? [] : [condition];
  });
  return [...hostConditions, ...serviceConditions];
}

/** "gs: all 2 instances serve again". */
export function servingText(service: string, instances: Iterable<Instance>): string {
  const { all, serving } = viewOf(service, membersOf(service, instances));
  const count = serving.length === all.length ? `all ${all.length}` : `${serving.length} of ${all.length}`;
  return `${service}: ${count} instances serve${serving.length > 0 ? ' again' : ''}`;
}

const membersOf = (id: string, instances: Iterable<Instance>): Instance[] =>
  [...instances].filter(({ service }) => service === id);

function viewOf(id: string, all: Instance[]): ServingView {
  return {
    id,
    all,
    serving: all.filter(({ state }) => isServingState(state)),
    failed: all.filter(hasFailed),
  };
}

const hasFailed = ({ state, admin, health, breaker }: Instance): boolean =>
  state === 'down' && admin === 'ready' && (health !== 'unknown' || breaker === 'open');

const hostname = memoize((url) => new URL(url).hostname);
const hostOf = ({ url }: Instance): string => hostname(url);

interface FailedHost {
  host: string;
  all: Instance[];
  failed: Instance[];
}

function hostsOf(instances: readonly Instance[], open: ReadonlySet<string>): FailedHost[] {
  return [...Map.groupBy(instances, hostOf)]
    .map(([host, all]) => ({ host, all, failed: all.filter(hasFailed) }))
    .filter(({ host, all, failed }) => {
      if (open.has(hostKey(host))) return failed.length > 0;
      const own = failed.filter(({ service }) => open.has(serviceKey(service)));
      const services = new Set(failed.filter((each) => !own.includes(each)).map(({ service }) => service));
      return failed.length === all.filter(({ admin }) => admin === 'ready').length && services.size > 1;
    });
}

const serviceKey = (service: string): string => alertKey({ rule: 'instanceDown', service, subject: '' });
const hostKey = (host: string): string => alertKey({ rule: 'instanceDown', service: '', subject: host });

/** Instances that have just failed, while the probes of another, still serving instance of the same host fail. */
function settlingInstances(instances: readonly Instance[], now: number): ReadonlySet<Instance> {
  const groups = Map.groupBy(instances, hostOf).values();
  return new Set(
    [...groups].flatMap((group) => {
      const undecided = group.some(
        ({ state, lastProbe }) => isServingState(state) && lastProbe?.ok === false,
      );
      return undecided ? group.filter((each) => hasFailed(each) && now - each.since < SETTLE_MS) : [];
    }),
  );
}

interface Level {
  rule: 'instanceDown' | 'redundancyLost' | 'serviceDown';
  severity: Severity;
  value: number;
  threshold: number;
}

function levelOf({ all, serving, failed }: ServingView): Level | null {
  if (serving.length === 0) {
    // The first probes are still under way.
    if (all.length > 0 && failed.length === 0 && all.some(({ health }) => health === 'unknown')) return null;
    return { rule: 'serviceDown', severity: 'emergency', value: 0, threshold: 1 };
  }
  if (failed.length === 0) return null;
  if (serving.length === 1) return { rule: 'redundancyLost', severity: 'critical', value: 1, threshold: 2 };
  return { rule: 'instanceDown', severity: 'warning', value: failed.length, threshold: 1 };
}

function serviceCondition(view: ServingView): Condition | null {
  const level = levelOf(view);
  if (!level) return null;
  const { id, serving, failed } = view;
  return {
    ...level,
    service: id,
    subject: '',
    message: `${id}: ${levelText(view)}${causesText(failed)}`,
    ...(failed.length > 0 ? { since: Math.min(...failed.map(({ since }) => since)) } : {}),
    // With none serving, `since` is the latest failure: an earlier one must not shorten the wait for `after`.
    ...(serving.length === 0 && failed.length > 0
      ? { since: Math.max(...failed.map(({ since }) => since)) }
      : {}),
  };
}

function levelText({ all, serving, failed }: ServingView): string {
  if (all.length === 0) return 'no instance is configured or registered';
  if (serving.length === 0) return `no instance serves (0 of ${all.length})`;
  const [last] = serving;
  if (serving.length === 1 && last) return `only ${last.id} serves (1 of ${all.length})`;
  return `${failed.length} of ${all.length} instances down, ${serving.length} serve`;
}

/** The instances by reason, without the addresses that would make every reason different. */
function causesText(failed: readonly Instance[]): string {
  const groups = Map.groupBy(failed, ({ reason }) => withoutAddress(reason));
  const texts = [...groups].map(([reason, members]) => {
    const names = members.map(({ id }) => id);
    const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
    return `${shown.join(', ')}: ${reason}`;
  });
  return texts.length > 0 ? `; ${texts.join('; ')}` : '';
}

const withoutAddress = (reason: string): string =>
  reason.replace(/\s*(\[[\da-f:]+\]|\d{1,3}(\.\d{1,3}){3})(:\d+)?/gi, '');

function hostCondition(
  { host, all, failed }: FailedHost,
  views: ReadonlyMap<string, ServingView>,
): Condition {
  const services = [...new Set(failed.map(({ service }) => service))];
  const levels = services.flatMap((id) => {
    const view = views.get(id);
    const level = view && levelOf(view);
    return level ? [{ id, ...level }] : [];
  });
  const having = (rule: Level['rule']) => levels.filter((one) => one.rule === rule).map(({ id }) => id);
  const effects = [
    ['no instance serves', having('serviceDown')],
    ['one instance left', having('redundancyLost')],
  ] as const;
  const severity = WORST_FIRST.find((one) => levels.some((level) => level.severity === one)) ?? 'warning';
  return {
    rule: 'instanceDown',
    service: '',
    subject: host,
    severity,
    value: failed.length,
    threshold: 1,
    message:
      `host ${host}: ${failed.length === all.length ? 'all' : `${failed.length} of`} ${all.length} instances down` +
      causesText(failed) +
      effects.map(([text, ids]) => (ids.length > 0 ? `; ${text}: ${ids.join(', ')}` : '')).join(''),
    since: Math.min(...failed.map(({ since }) => since)),
  };
}
