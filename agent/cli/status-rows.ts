import { isServingState } from '../../shared/serving.ts';
import type { StatusInstance, StatusService } from '../http/schemas/status.ts';
import { plural } from './format.ts';

/** A line of the table: a service with its requests, one instance with its attempts, or several instances in one line. */
export interface StatusRow {
  service: string;
  /** The first line of its service. */
  first: boolean;
  instance: StatusInstance | null;
  /** Text that describes the folded instances. */
  label: string;
  state: string;
  traffic: StatusInstance['traffic'] | null;
  /** The requests of the service that failed. */
  failed: string;
}

/** A fleet of up to this size is listed in full. */
const LIST_ALL_UP_TO = 30;
/** Instances with a problem that are listed, over all services. */
const MAX_PROBLEMS = 20;
/** Of these, for one service. */
const MIN_PROBLEMS = 5;
/** Services without a problem that have a line of their own. */
const MAX_HEALTHY_SERVICES = 20;
const WORST_FIRST: readonly StatusInstance['state'][] = ['down', 'draining', 'probation', 'up'];

/** `auto` folds healthy instances of a large fleet; `folded` always. */
export type StatusListing = 'auto' | 'folded' | 'all';

const isHealthy = ({ state, admin, outlier }: StatusInstance): boolean =>
  state === 'up' && admin === 'ready' && !outlier;
/** The smaller, the worse. An instance that is up and does worse than its peers comes before a healthy one. */
const severity = ({ state, outlier }: StatusInstance): number =>
  WORST_FIRST.indexOf(state) - (state === 'up' && outlier ? 0.5 : 0);

/**
 * The lines of a status. In a large fleet, and with `folded`, the services with a problem come first, with their
 * instances worst first; healthy instances and services are folded.
 */
export function statusRows(services: readonly StatusService[], listing: StatusListing): StatusRow[] {
  const total = services.reduce((sum, { instances }) => sum + instances.length, 0);
  if (listing === 'all' || (listing === 'auto' && total <= LIST_ALL_UP_TO)) return services.flatMap(listed);
  const worstOf = ({ instances }: StatusService): number =>
    instances.some(({ state }) => isServingState(state)) ? Math.min(...instances.map(severity)) : -1;
  const sick = services
    .filter(({ instances }) => instances.length === 0 || !instances.every(isHealthy))
    .toSorted((a, b) => worstOf(a) - worstOf(b));
  const healthy = services
    .filter((service) => !sick.includes(service))
    .toSorted((a, b) => b.traffic.failed - a.traffic.failed);
  const rows: StatusRow[] = [];
  // One service with many failed instances leaves lines for the others.
  const perService = Math.max(MIN_PROBLEMS, Math.floor(MAX_PROBLEMS / sick.length));
  let left = MAX_PROBLEMS;
  for (const service of sick) {
    const limit = Math.min(left, perService);
    rows.push(...problemRows(service, limit));
    const problems = service.instances.filter((instance) => !isHealthy(instance)).length;
    left -= Math.min(problems, limit);
  }
  return [...rows, ...healthyRows(healthy)];
}

function listed(service: StatusService): StatusRow[] {
  return [whole(service), ...service.instances.map((instance) => single(service, instance))];
}

/** Up to `limit` instances with a problem, then the number of further ones and of healthy ones. */
function problemRows(service: StatusService, limit: number): StatusRow[] {
  const problems = service.instances
    .filter((instance) => !isHealthy(instance))
    .toSorted((a, b) => severity(a) - severity(b));
  const rows = [whole(service), ...problems.slice(0, limit).map((instance) => single(service, instance))];
  const hidden = problems.slice(limit);
  const healthy = service.instances.length - problems.length;
  if (hidden.length > 0) {
    const states = [...new Set(hidden.map(({ state }) => state))].join(', ');
    rows.push(folded(service, `${hidden.length} more`, states));
  }
  if (healthy > 0) rows.push(folded(service, plural(healthy, 'other'), 'up'));
  return rows;
}

function healthyRows(services: readonly StatusService[]): StatusRow[] {
  const shown = services.slice(0, MAX_HEALTHY_SERVICES).map((service) => ({
    ...whole(service),
    label: `all ${service.instances.length}`,
    state: 'up',
  }));
  const rest = services.slice(MAX_HEALTHY_SERVICES);
  if (rest.length === 0) return shown;
  const count = rest.reduce((sum, { instances }) => sum + instances.length, 0);
  const service = `${rest.length} more`;
  return [
    ...shown,
    { service, first: true, instance: null, label: `all ${count}`, state: 'up', traffic: null, failed: '' },
  ];
}

function whole({ id, instances, traffic }: StatusService): StatusRow {
  return {
    service: id,
    first: true,
    instance: null,
    label: instances.length === 0 ? '(none)' : '',
    state: '',
    traffic,
    failed:
      traffic.failed > 0 ? `${traffic.failed} of ${traffic.requests} requests failed in the last minute` : '',
  };
}

function single({ id }: StatusService, instance: StatusInstance): StatusRow {
  return { service: id, first: false, instance, label: '', state: '', traffic: null, failed: '' };
}

function folded({ id }: StatusService, label: string, state: string): StatusRow {
  return { service: id, first: false, instance: null, label, state, traffic: null, failed: '' };
}
