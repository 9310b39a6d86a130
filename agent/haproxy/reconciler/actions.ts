import { lookup } from 'node:dns/promises';
import type { Config } from '../../../shared/config/config.ts';
import { instanceKey } from '../../core/state.ts';
import { isLongLivedBackend, serviceOfBackend } from '../long-lived.ts';
import { toRenderInstance } from '../render/input.ts';
import { longLivedServerOptions, serverOptions } from '../render/server-line.ts';
import { serverAddress } from '../socket/address.ts';
import { parseSessions } from '../socket/parse.ts';
import type { RuntimeClient } from '../socket/runtime-client.ts';
import type { DesiredServer } from './desired.ts';
import type { ServerAction } from './diff.ts';

export interface ActionResult {
  /** `service/instance` */
  server: string;
  /** HAProxy's error messages; empty when it accepted every command. */
  errors: string[];
  /** The server could not be added at run time: only a reload adds it. */
  needsReload: boolean;
  removed: boolean;
}

/** Sends the commands of one action. `count` is the number of desired servers. Rejects with HaproxyUnreachable. */
export async function applyAction(
  client: RuntimeClient,
  config: Config,
  action: ServerAction,
  count: number,
): Promise<ActionResult> {
  switch (action.type) {
    case 'add': {
      const { service, instance } = action.desired;
      const errors = await addServer(client, config, action.desired, count);
      return actionResult(service, instance, errors, { needsReload: errors.length > 0 });
    }
    case 'remove': {
      const { errors, removed } = await removeServer(client, action.service, action.instance);
      return actionResult(action.service, action.instance, errors, { removed });
    }
    case 'close': {
      await closeConnections(client, action);
      return actionResult(action.service, action.instance, []);
    }
    case 'set': {
      const { service, instance, commands } = action;
      const responses = await Promise.all(commands.map((command) => client.execute(command)));
      // The response to `addr` describes the change; any other response is an error.
      const errors = responses.filter(
        (response, index) => response !== '' && !commands[index]?.includes(' addr '),
      );
      return actionResult(service, instance, errors);
    }
  }
}

function actionResult(
  service: string,
  instance: string,
  errors: readonly string[],
  { needsReload = false, removed = false } = {},
): ActionResult {
  const server = instanceKey(service, instance);
  return { server, errors: errors.map((error) => `${server}: ${error}`), needsReload, removed };
}

/**
 * Adds a server to the running HAProxy. It starts in maintenance with its checks off; its admin state is set after its
 * checks and its verdict. Returns HAProxy's error messages.
 */
async function addServer(
  client: RuntimeClient,
  config: Config,
  desired: DesiredServer,
  count: number,
): Promise<string[]> {
  const { service, instance, url, verdict } = desired;
  const serviceConfig = config.services[serviceOfBackend(service)];
  if (!serviceConfig) return [];
  const name = instanceKey(service, instance);
  const { host, port, named } = serverAddress(url);
  // `add server` accepts addresses only; HAProxy resolves names only for servers in its file.
  const address = named ? await resolve(host) : host;
  if (!address) return [`${host} does not resolve`];
  const server = toRenderInstance({ ...desired, id: instance });
  const optionsOf = isLongLivedBackend(service) ? longLivedServerOptions : serverOptions;
  const options = optionsOf(config, serviceConfig, server, count).join(' ');
  const added = await client.execute(`add server ${name} ${bracketed(address)}:${port} ${options}`);
  if (!added.includes('New server registered')) return [added];
  const commands = [
    `enable health ${name}`,
    `enable agent ${name}`,
    ...(verdict === 'down' ? [`set server ${name} agent down`] : []),
    `set server ${name} state ${desired.admin}`,
  ];
  const responses = await Promise.all(commands.map((command) => client.execute(command)));
  return responses.filter((response) => response !== '');
}

/**
 * Stops new requests to a server and deletes it. HAProxy rejects `del server` while the server has connections; the next
 * round tries again.
 */
async function removeServer(
  client: RuntimeClient,
  service: string,
  instance: string,
): Promise<{ removed: boolean; errors: string[] }> {
  const name = instanceKey(service, instance);
  await client.execute(`set server ${name} state maint`);
  const response = await client.execute(`del server ${name}`);
  const removed = response.includes('deleted');
  const busy = response.includes('still has') || response.includes('connections');
  return { removed, errors: removed || busy ? [] : [response] };
}

/** The client sees the connection end, and connects again. */
async function closeConnections(
  client: RuntimeClient,
  { service, instance, count }: Extract<ServerAction, { type: 'close' }>,
): Promise<void> {
  const ids = parseSessions(await client.execute('show sess'), service, instance).slice(0, count);
  // A connection that has ended by itself in the meantime is not an error.
  await Promise.all(ids.map((id) => client.execute(`shutdown session ${id}`)));
}

async function resolve(host: string): Promise<string | null> {
  try {
    return (await lookup(host)).address;
  } catch {
    return null;
  }
}

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);
