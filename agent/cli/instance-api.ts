import type { AdminState } from '../core/state.ts';
import type { ApiInstance } from '../http/schemas/instances.ts';
import type { ApiClient } from './client.ts';
import { CliUsageError } from './errors.ts';

const instancesPath = (service: string): string => `/v1/services/${encodeURIComponent(service)}/instances`;

export async function readInstances(client: ApiClient, service: string): Promise<ApiInstance[]> {
  return (await client.get(instancesPath(service), 'instanceListSchema')).instances;
}

export const readInstance = (client: ApiClient, service: string, id: string): Promise<ApiInstance> =>
  client.get(`${instancesPath(service)}/${encodeURIComponent(id)}`, 'instanceSchema');

export interface InstanceSetting {
  setting: 'admin' | 'weight';
  body: { state: AdminState; deadline?: string | undefined } | { weight: number };
}

export const changeInstance = (
  client: ApiClient,
  service: string,
  id: string,
  { setting, body }: InstanceSetting,
): Promise<ApiInstance> =>
  client.put(`${instancesPath(service)}/${encodeURIComponent(id)}/${setting}`, 'instanceSchema', body);

/** Why the agent does not control HAProxy: drains may not be in force, and counts may be old. Null: it does. */
export async function whyUncontrolled(client: ApiClient): Promise<string | null> {
  const { haproxy } = (await client.get('/v1/status', 'statusSchema')).sinks;
  if (haproxy?.state === 'ok') return null;
  return haproxy?.lastError ?? 'no answer yet';
}

/** The service of an instance that is given by its id only. Throws CliUsageError unless exactly one has it. */
export async function findService(client: ApiClient, instance: string): Promise<string> {
  const { services } = await client.get('/v1/services', 'serviceListSchema');
  const found = services.filter(({ instances }) => instances.some(({ id }) => id === instance));
  if (found.length === 1 && found[0]) return found[0].id;
  const known = services.find(({ id }) => id === instance);
  if (known) {
    throw new CliUsageError(
      `${instance} is a service; name one of its instances: ${known.instances.map(({ id }) => id).join(', ')}`,
    );
  }
  throw new CliUsageError(
    found.length === 0
      ? `no service has an instance ${instance}`
      : `${instance} is an instance of ${found.map(({ id }) => id).join(' and ')}; name the service, too`,
  );
}
