import { parseStat } from '../socket/parse.ts';
import type { RuntimeClient } from '../socket/runtime-client.ts';

/**
 * Gives every server that was taken out by a verdict back to HAProxy's own checks: an agent that is gone would leave it
 * out for ever. `agent up` alone would also trust servers that HAProxy itself finds dead, so those are marked down on
 * the health axis, where their next passing check lets them in again.
 */
export async function releaseVerdicts(
  client: RuntimeClient,
  services?: ReadonlySet<string>,
): Promise<string[]> {
  const stats = parseStat(await client.execute('show stat -1 4 -1'));
  const held = stats.filter((stat) => !stat.agentUp && (services?.has(stat.service) ?? true));
  const commands = held.flatMap(({ service, instance, check }) => [
    `set server ${service}/${instance} agent up`,
    ...(/^L\d+OK|^$/.test(check) ? [] : [`set server ${service}/${instance} health down`]),
  ]);
  await Promise.all(commands.map((command) => client.execute(command)));
  return held.map(({ service, instance }) => `${service}/${instance}`);
}
