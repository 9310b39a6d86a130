import { lookup } from 'node:dns/promises';
import type { Config } from '../../../shared/config/config.ts';
import { serverAddress } from '../render/quoting.ts';
import { serverOptions } from '../render/server-line.ts';
import type { RuntimeClient } from '../socket/runtime-client.ts';
import type { DesiredServer } from './desired.ts';

/**
 * Adds a server to the running HAProxy. It begins in maintenance with its checks off; it is let in once its checks run
 * and its verdict is known. Returns what HAProxy had against it.
 */
export async function addServer(
  client: RuntimeClient,
  config: Config,
  desired: DesiredServer,
  count: number,
): Promise<string[]> {
  const { service, instance, url, verdict } = desired;
  const serviceConfig = config.services[service];
  if (!serviceConfig) return [];
  const name = `${service}/${instance}`;
  const { host, port, named } = serverAddress(url);
  // HAProxy adds servers by address only; from the file it resolves names itself.
  const address = named ? await resolve(host) : host;
  if (!address) return [`${name}: ${host} does not resolve`];
  const { weight, priority, maxconn } = desired;
  const server = {
    service,
    id: instance,
    url,
    weight,
    priority,
    ...(maxconn === undefined ? {} : { maxconn }),
  };
  const options = serverOptions(config, serviceConfig, server, count).join(' ');
  const said = await client.execute(`add server ${name} ${bracketed(address)}:${port} ${options}`);
  if (!said.includes('New server registered')) return [`${name}: ${said}`];
  const commands = [
    `enable health ${name}`,
    `enable agent ${name}`,
    ...(verdict === 'down' ? [`set server ${name} agent down`] : []),
    `set server ${name} state ${desired.admin}`,
  ];
  const answers = await Promise.all(commands.map((command) => client.execute(command)));
  return answers.filter((answer) => answer !== '').map((answer) => `${name}: ${answer}`);
}

/**
 * Takes a server out for good: first no new requests, and once the last one is answered it is deleted; until then
 * HAProxy refuses, and the next look tries again.
 */
export async function removeServer(
  client: RuntimeClient,
  { service, instance }: { service: string; instance: string },
): Promise<{ gone: boolean; said: string[] }> {
  const name = `${service}/${instance}`;
  await client.execute(`set server ${name} state maint`);
  const said = await client.execute(`del server ${name}`);
  const gone = said.includes('deleted');
  const busy = said.includes('still has') || said.includes('connections');
  return { gone, said: gone || busy ? [] : [`${name}: ${said}`] };
}

async function resolve(host: string): Promise<string | null> {
  try {
    return (await lookup(host)).address;
  } catch {
    return null;
  }
}

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);
