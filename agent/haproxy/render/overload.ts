import type { Config, ServiceConfig } from '../../../shared/config/config.ts';
import { serverAddress } from '../socket/address.ts';
import type { RenderInstance } from './input.ts';

/** What a service rejects under overload. A rejected request gets 503 at once, marked as no failure of an instance. */

/** Requests that may wait for an instance. Above 16 that is about one response time. */
export const queueLimit = (maxconn: number): number => Math.max(SMALL, maxconn);
const SMALL = 16;

/**
 * Below 16 connections the queue is longer than one response time, so that a burst fits in. Then this is the longest
 * expected wait: after an overload, at half of the capacity, the queue is empty after twice this time.
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
  /** Reject the request if one is true. */
  conditions: readonly string[];
}

const NO_RULE: OverloadRule = { lines: [], conditions: [] };

export const overloadLines = (input: OverloadInput): string[] => [
  ...rejectIf([scarceConnections(input), sharedInstances(input), fullQueue(input)]),
  ...(largestMaxconn(input.service, input.instances) < SMALL ? responseTimeLines(input.service) : []),
];

/** Long-lived connections rarely end, so it is useless to wait for a free one in a queue. */
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

/** A variable of the process. Names of variables have no `-`, so that character is written as `_2d`. */
const responseTime = ({ id }: ServiceConfig): string =>
  `proc.ms_${id.replaceAll(/[^A-Za-z0-9]/g, (character) => `_${character.charCodeAt(0).toString(16)}`)}`;

/** Little's law. Until a response time is known, the condition is false. */
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

/** Which services go first when they compete. */
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

/** Share of the gateway's connections that each class leaves to the one before it. */
const RESERVED_SHARE = 0.025;

/**
 * The gateway's own connections. When they are used up, new ones of every service wait in the kernel. So all but the most
 * important class in use get 503 before, which also closes their connection. In mode `beside` the operator's frontends
 * have the connections.
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
 * HAProxy counts the connections to an instance for each service, so services that share instances can exceed what these
 * serve at a time. While a more important service is in use, a less important one gets only what that one leaves, and no
 * queue.
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

/** Adds the requests for each serving instance, in hundredths, because HAProxy has whole numbers only. */
const addLoad = (service: string, variable: 'others' | 'load'): string[] => [
  `http-request set-var(txn.serving) nbsrv(${service})`,
  `http-request set-var(txn.${variable}) be_conn(${service}),mul(100),div(txn.serving),add(txn.${variable})`,
];
