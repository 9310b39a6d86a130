import type { Config, ServiceConfig } from '../../../shared/config/config.ts';
import { serverAddress } from '../socket/address.ts';
import type { RenderInstance } from './input.ts';

/** What a service rejects under overload. A rejected request gets 503 at once, with a mark: no instance has failed. */

/** How many requests may wait for an instance. From 16 connections up, the last one waits about one response time. */
export const queueLimit = (maxconn: number): number => Math.max(SMALL, maxconn);
const SMALL = 16;

/**
 * Below 16 connections the queue may hold more than one response time, so that a burst fits in. The expected wait in it is
 * limited to this time. After an overload, at half of the capacity, such a queue is empty after twice this time.
 */
const MAX_WAIT_MS = 1_000;

export interface OverloadInput {
  config: Config;
  service: ServiceConfig;
  instances: readonly RenderInstance[];
  classes: PriorityClasses;
}

interface OverloadRule {
  lines: readonly string[];
  /** The request is rejected if one of them is true. */
  conditions: readonly string[];
}

const NO_RULE: OverloadRule = { lines: [], conditions: [] };

export const overloadLines = (input: OverloadInput): string[] => [
  ...rejectIf([scarceConnections(input), sharedInstances(input), fullQueue(input)]),
  ...(largestMaxconn(input.service, input.instances) < SMALL ? responseTimeLines(input.service) : []),
];

/** Long-lived connections rarely end, so waiting in a queue is useless. */
export const longLivedOverloadLines = (input: OverloadInput): string[] =>
  rejectIf([scarceConnections(input), { lines: [], conditions: ['{ be_conn_free eq 0 } { nbsrv gt 0 }'] }]);

const rejectIf = (rules: readonly OverloadRule[]): string[] => [
  ...rules.flatMap(({ lines }) => lines),
  `http-request set-var(txn.full) bool(true) if ${rules.flatMap(({ conditions }) => conditions).join(' || ')}`,
  'http-request deny deny_status 503 if { var(txn.full) -m bool }',
];

/**
 * HAProxy sets no limit to a backend's own queue. Without a limit, an overloaded service holds every request for `timeout
 * queue`: answers and errors are late, and the waiting requests take connections from the other services. `avg_queue` is
 * the queue for each serving server.
 */
function fullQueue({ service, instances }: OverloadInput): OverloadRule {
  const maxconn = largestMaxconn(service, instances);
  const limit = `{ avg_queue gt ${queueLimit(maxconn)} }`;
  if (maxconn >= SMALL) return { lines: [], conditions: [limit] };
  const late = `{ avg_queue gt ${maxconn} } { ${expectedWait(service, maxconn)} gt ${MAX_WAIT_MS} }`;
  return { lines: [], conditions: [late, limit] };
}

const largestMaxconn = (
  { maxconn }: ServiceConfig,
  instances: readonly { maxconn?: number | undefined }[],
): number => Math.max(maxconn, ...instances.map((instance) => instance.maxconn ?? 0));

/** A variable of the process. Its name cannot contain `-`, which becomes `_2d`. */
const responseTime = ({ id }: ServiceConfig): string =>
  `proc.ms_${id.replaceAll(/[^A-Za-z0-9]/g, (character) => `_${character.charCodeAt(0).toString(16)}`)}`;

/** By Little's law. Until a response time is known, conditions on it are false. */
const expectedWait = (service: ServiceConfig, maxconn: number): string =>
  `avg_queue,mul(${responseTime(service)}),div(${maxconn})`;

/** The moving average of the response time. A small `maxconn` means few responses, so this costs little. */
function responseTimeLines(service: ServiceConfig): string[] {
  const name = responseTime(service);
  return [
    'http-response set-var-fmt(txn.ms) %Tr',
    `http-response set-var(${name}) var(txn.ms) if !{ var(${name}) -m found }`,
    `http-response set-var(${name}) var(${name}),mul(7),add(txn.ms),div(8)`,
  ];
}

/** Which services have precedence when they compete. */
export interface PriorityClasses {
  /** The most important class in use. */
  readonly first: number;
  /** The more important services that share an instance with this one. */
  competitorsOf(service: ServiceConfig): readonly ServiceConfig[];
}

export function priorityClasses({ services }: Pick<Config, 'services'>): PriorityClasses {
  const all = Object.values(services);
  const byAddress = new Map<string, ServiceConfig[]>();
  for (const service of all) {
    for (const address of addressesOf(service)) {
      const sharing = byAddress.get(address) ?? [];
      sharing.push(service);
      byAddress.set(address, sharing);
    }
  }
  return {
    first: all.reduce((first, { failover }) => Math.min(first, failover.class), 9),
    competitorsOf(service) {
      const sharing = [...addressesOf(service)].flatMap((address) => byAddress.get(address) ?? []);
      return [...new Set(sharing)].filter(({ failover }) => failover.class < service.failover.class);
    },
  };
}

const addressesOf = ({ instances }: ServiceConfig): ReadonlySet<string> =>
  new Set(instances.map(({ url }) => serverAddress(url).text));

/** The share of the gateway's connections that each class leaves to the class before it. */
const RESERVED_SHARE = 0.025;

/**
 * Protects the connections of the gateway. When all are in use, new connections wait in the kernel, whatever their service.
 * So all but the most important class get 503 before, which also closes their connections. In mode `beside` the
 * connections belong to the operator's frontends.
 */
function scarceConnections({ config, service, classes }: OverloadInput): OverloadRule {
  const below = service.failover.class - classes.first;
  if (config.haproxy.mode === 'beside' || below === 0) return NO_RULE;
  const limit = Math.floor(config.haproxy.maxconn * (1 - RESERVED_SHARE * below));
  return {
    lines: [`http-request set-var(txn.scarce) bool(true) if { fe_conn(_gateway) gt ${limit} }`],
    conditions: ['{ var(txn.scarce) -m bool }'],
  };
}

/**
 * HAProxy counts the connections to an instance per service, so services that share instances can together exceed the limit
 * of the instances. While a more important service has requests, a less important one gets only the rest, and no queue.
 */
function sharedInstances({ service, classes }: OverloadInput): OverloadRule {
  const competitors = classes.competitorsOf(service);
  if (competitors.length === 0) return NO_RULE;
  const limit = Math.max(...[service, ...competitors].map((one) => largestMaxconn(one, one.instances)));
  return {
    lines: [
      'http-request set-var(txn.others) int(0)',
      ...competitors.flatMap(({ id }) => addLoad(id, 'others')),
      'http-request set-var(txn.load) var(txn.others)',
      ...addLoad(service.id, 'load'),
    ],
    conditions: [`{ var(txn.others) -m int gt 0 } { var(txn.load) -m int gt ${limit * 100} }`],
  };
}

/**
 * Adds the requests for each serving instance, in hundredths, because HAProxy has whole numbers only. A division by zero
 * would give 2^63 − 1, so a service without a serving instance adds nothing.
 */
const addLoad = (service: string, variable: 'others' | 'load'): string[] => [
  `http-request set-var(txn.serving) nbsrv(${service})`,
  `http-request set-var(txn.${variable}) be_conn(${service}),mul(100),div(txn.serving),add(txn.${variable}) if { var(txn.serving) -m int gt 0 }`,
];
