import { z } from 'zod';
import type { DiscoveryConfig } from '../../../shared/config/discovery.ts';
import { valueText } from '../../../shared/config/problem.ts';
import {
  entriesOf,
  FULL_WEIGHT,
  type InstanceSourceReader,
  type ListedInstance,
  originOf,
  type SourceList,
} from '../source.ts';
import { createSourceClient } from './http.ts';

const DEFAULT_SERVER = 'unix:///var/run/docker.sock';
const DEADLINE_MS = 5_000;

/** The fields that we read from a container of GET /containers/json. */
const containerSchema = z.object({
  Id: z.string(),
  Names: z.array(z.string()).default([]),
  Ports: z
    .array(z.object({ PrivatePort: z.int().min(1).max(65_535), Type: z.string().default('tcp') }))
    .nullable()
    .default([]),
  NetworkSettings: z.object({
    Networks: z
      .record(
        z.string(),
        z.object({ IPAddress: z.string().default(''), GlobalIPv6Address: z.string().default('') }),
      )
      .nullable(),
  }),
});
type Container = z.output<typeof containerSchema>;

type DockerSettings = Pick<DiscoveryConfig, 'server' | 'network' | 'port' | 'scheme'> & {
  labels: Record<string, string>;
};

/** Running containers with all labels. The list is read after an event of such a container, and after `interval`. */
export function createDockerReader({
  labels,
  server = DEFAULT_SERVER,
  ...settings
}: DockerSettings): InstanceSourceReader {
  const client = createSourceClient(server);
  const label = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const query = (filters: object, more: Record<string, string> = {}) =>
    new URLSearchParams({ ...more, filters: JSON.stringify(filters) });
  let readFrom = Date.now();
  return {
    deadlineMs: DEADLINE_MS,
    async read(signal) {
      readFrom = Date.now();
      const path = `/containers/json?${query({ label, status: ['running'] })}`;
      const { body } = await client.getJson(path, { signal });
      return parseContainers(body, { ...settings, isLocal: server.startsWith('unix:') });
    },
    // Events since the start of the last read, so that an event during the read is not lost.
    changed(signal) {
      const since = (readFrom / 1_000).toFixed(3);
      const event = ['start', 'unpause', 'die', 'pause'];
      return client.firstBytes(`/events?${query({ type: ['container'], label, event }, { since })}`, {
        signal,
      });
    },
    close: client.close,
  };
}

export interface ContainerScope {
  network?: string | undefined;
  port?: number | undefined;
  scheme: string;
  /** Docker runs on the agent's host. */
  isLocal: boolean;
}

export function parseContainers(body: unknown, scope: ContainerScope): SourceList {
  const problems: string[] = [];
  const instances = entriesOf(body, 'Docker answered').flatMap((raw): ListedInstance[] => {
    const container = containerSchema.safeParse(raw);
    if (!container.success) {
      const issue = container.error.issues[0];
      problems.push(`container ${valueText(raw)}: ${issue?.path.join('.')}: ${issue?.message}`);
      return [];
    }
    const found = containerInstance(container.data, scope);
    if (typeof found === 'object') return [found];
    problems.push(`container ${nameOf(container.data)}: ${found}`);
    return [];
  });
  return { instances, problems };
}

const nameOf = ({ Id, Names }: Container): string => Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12);

/** The instance, or why the container cannot be an instance. */
function containerInstance(container: Container, scope: ContainerScope): ListedInstance | string {
  const ports = new Set(
    container.Ports?.filter(({ Type }) => Type === 'tcp').map(({ PrivatePort }) => PrivatePort),
  );
  const [only, another] = ports;
  const port = scope.port ?? only;
  if (port === undefined) return 'it exposes no port; set instancesFrom.port';
  if (scope.port === undefined && another !== undefined) {
    return `it exposes the ports ${[...ports].join(', ')}; set instancesFrom.port`;
  }
  const address = addressOf(container, scope);
  if ('problem' in address) return address.problem;
  try {
    const url = originOf(scope.scheme, address.ip, port);
    return { url, weight: FULL_WEIGHT, priority: 1, metadata: { 'docker.name': nameOf(container) } };
  } catch {
    return `${valueText(address.ip)} is not an address`;
  }
}

function addressOf(
  { NetworkSettings }: Container,
  { network, isLocal }: ContainerScope,
): { ip: string } | { problem: string } {
  const networks = NetworkSettings.Networks ?? {};
  const names = Object.keys(networks);
  const [only = '', another] = names;
  if (network === undefined && another !== undefined) {
    return { problem: `it is in the networks ${names.join(', ')}; set instancesFrom.network` };
  }
  if (names.length === 0) return { problem: 'it is in no network' };
  const name = network ?? only;
  const { IPAddress = '', GlobalIPv6Address = '' } = networks[name] ?? {};
  const ip =
    IPAddress || GlobalIPv6Address || (name === 'host' && name in networks && isLocal ? '127.0.0.1' : '');
  return ip ? { ip } : { problem: `it has no address in the network ${valueText(name)}` };
}
