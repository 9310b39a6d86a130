import { readFile } from 'node:fs/promises';
import { configInstances } from '../../haproxy/render/input.ts';
import { HaproxyNotInstalled, validateHaproxyConfig } from '../../haproxy/render/install.ts';
import { parseInfo } from '../../haproxy/socket/parse.ts';
import { createRuntimeClient } from '../../haproxy/socket/runtime-client.ts';
import { errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

function renderInput({ config, env }: DoctorInput) {
  return {
    config,
    instances: configInstances(config),
    production: env.ENVIRONMENT === 'production',
    secrets: {
      statsUser: env.HAPROXY_STATS_USER || 'admin',
      statsPassword: env.HAPROXY_STATS_PASSWORD || 'admin',
      edgePublicKeys: env.EDGE_JWT_PUBLIC_KEYS ?? '',
    },
  };
}

export async function checkHaproxyConfig(facts: DoctorInput): Promise<Finding> {
  try {
    await validateHaproxyConfig(renderInput(facts));
    return ok('HAProxy config', 'what acgs-lb.yaml makes is accepted by haproxy -c');
  } catch (error) {
    if (error instanceof HaproxyNotInstalled) return skip('HAProxy config', 'no HAProxy here to judge it');
    const detail = error instanceof Error ? error.message : String(error);
    return fail(
      'HAProxy config',
      detail,
      'the line named above tells which setting of acgs-lb.yaml HAProxy refuses',
    );
  }
}

/** The admin socket answers, and belongs to a HAProxy that runs what acgs-lb.yaml says. */
export async function checkHaproxySocket(facts: DoctorInput): Promise<Finding[]> {
  const { socket } = facts.config.haproxy;
  const client = createRuntimeClient({ socket, timeoutMs: 3_000 });
  try {
    const info = parseInfo(await client.execute('show info'));
    const answers = ok('HAProxy socket', `${socket} answers, version ${info.version}, pid ${info.pid}`);
    if (!info.description.startsWith('acgs-lb:')) {
      const mend =
        'let the agent write haproxy.file and reload (`acgs-lb render --install`), or name the right socket in haproxy.socket';
      return [answers, fail('HAProxy runs', 'a configuration that acgs-lb did not write', mend)];
    }
    return [answers, await checkRunning(facts, info.description)];
  } catch (error) {
    return [fail('HAProxy socket', errorSummary(error), socketMend(error, socket))];
  } finally {
    client.close();
  }
}

/** HAProxy shows what it was made from; a reload that was refused or forgotten shows as a difference to the file. */
async function checkRunning({ config }: DoctorInput, running: string): Promise<Finding> {
  const { file } = config.haproxy;
  try {
    const written = /^\s*description (\S+)/m.exec(await readFile(file, 'utf8'))?.[1];
    if (written === running) return ok('HAProxy runs', `what stands in ${file}`);
    const mend =
      'a running agent reloads it within seconds; else look at its log for a refused reload, or systemctl reload haproxy';
    return warn('HAProxy runs', `something older than what stands in ${file}`, mend);
  } catch (error) {
    return skip('HAProxy runs', `${file} cannot be read: ${errorSummary(error)}`);
  }
}

function socketMend(error: unknown, socket: string): string {
  const text = errorSummary(error);
  if (/EACCES/.test(text)) return `give the agent's user the group that owns ${socket} (Debian: haproxy)`;
  if (/ENOENT|ECONNREFUSED/.test(text))
    return 'start HAProxy (systemctl start haproxy), with haproxy.socket as acgs-lb.yaml names it';
  return 'HAProxy is there but does not answer: look at its log';
}

/** The gateway the edge is told to use must be reachable, first of all from here. */
export async function checkGateways({ config, fetch }: DoctorInput): Promise<Finding[]> {
  return Promise.all(
    config.site.gateways.map(async (gateway) => {
      try {
        const { status } = await fetch(gateway, { redirect: 'manual', signal: AbortSignal.timeout(5_000) });
        return ok('gateway', `${gateway} answers (${status})`);
      } catch (error) {
        return fail(
          'gateway',
          `${gateway}: ${errorSummary(error)}`,
          'site.gateways must be where HAProxy listens (haproxy.bind), by a name the edge can resolve',
        );
      }
    }),
  );
}

export async function checkStatsPage({ config, env, fetch }: DoctorInput): Promise<Finding> {
  const host = config.haproxy.stats.replace(/^(\*|0\.0\.0\.0)?:/, '127.0.0.1:');
  const user = env.HAPROXY_STATS_USER || 'admin';
  const password = env.HAPROXY_STATS_PASSWORD || 'admin';
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  try {
    const { status } = await fetch(`http://${host}/stats`, {
      headers: { authorization },
      signal: AbortSignal.timeout(5_000),
    });
    if (status === 200) return ok('HAProxy stats', `http://${host}/stats lets ${user} in`);
    return fail(
      'HAProxy stats',
      `http://${host}/stats answers ${status}`,
      'HAPROXY_STATS_USER and HAPROXY_STATS_PASSWORD here are not those HAProxy was given: restart the agent',
    );
  } catch (error) {
    return fail(
      'HAProxy stats',
      `${host}: ${errorSummary(error)}`,
      'start HAProxy, or set haproxy.stats to where it listens',
    );
  }
}
