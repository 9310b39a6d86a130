import { instanceKey } from '../../core/state.ts';
import { parseStat } from '../socket/parse.ts';
import type { RuntimeClient } from '../socket/runtime-client.ts';

/**
 * Returns every server with an `agent down` verdict to HAProxy's own checks; without an agent it would stay out
 * indefinitely. `agent up` alone would also enable servers whose check fails, so those get `health down` until their
 * next check passes. Returns the released servers.
 */
export async function releaseVerdicts(
  client: RuntimeClient,
  services?: ReadonlySet<string>,
): Promise<string[]> {
  const stats = parseStat(await client.execute('show stat -1 4 -1'));
  const down = stats.filter((stat) => !stat.agentUp && (services?.has(stat.service) ?? true));
  const commands = down.flatMap(({ service, instance, check }) => [
    `set server ${service}/${instance} agent up`,
    ...(/^L\d+OK|^$/.test(check) ? [] : [`set server ${service}/${instance} health down`]),
  ]);
  await Promise.all(commands.map((command) => client.execute(command)));
  return down.map(({ service, instance }) => instanceKey(service, instance));
}
