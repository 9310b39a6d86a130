import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorMessage } from '../../../shared/error-message.ts';
import { ownFileProblems } from '../../haproxy/import/own-file.ts';
import { configInstances } from '../../haproxy/render/input.ts';
import { HaproxyNotInstalled, validateHaproxyConfig } from '../../haproxy/render/install.ts';
import { createRuntimeClient, type RuntimeClient } from '../../haproxy/socket/runtime-client.ts';
import { readWorker } from '../../haproxy/socket/worker.ts';
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

export async function checkHaproxyConfig(input: DoctorInput): Promise<Finding> {
  try {
    await validateHaproxyConfig(renderInput(input));
    return ok('HAProxy config', 'haproxy -c accepts the configuration generated from acgs-lb.yaml');
  } catch (error) {
    if (error instanceof HaproxyNotInstalled) return skip('HAProxy config', 'HAProxy is not installed here');
    const detail = errorMessage(error);
    const mend = detail.includes('has the same name as')
      ? 'remove the section from your own file: `acgs-lb import --mode beside --cfg-out` writes the file without it'
      : 'correct the line that HAProxy names: in acgs-lb.yaml, or in your own file';
    return fail('HAProxy config', detail, mend);
  }
}

/** With mode `beside`: checks that the operator's own file has what the agent needs. */
export async function checkOwnFile({ config }: DoctorInput): Promise<Finding[]> {
  const { mode, mainFile, file } = config.haproxy;
  if (mode === 'whole') return [];
  const name = 'own HAProxy file';
  try {
    const problems = ownFileProblems(await readOwnFiles(mainFile, file), config);
    if (problems.length === 0) return [ok(name, `${mainFile} has the lines that the agent needs`)];
    return problems.map(({ severity, detail, mend }) =>
      severity === 'fail' ? fail(name, detail, mend) : warn(name, detail, mend),
    );
  } catch (error) {
    const mend = 'correct haproxy.mainFile, or give this user the right to read it';
    return [fail(name, `${mainFile} cannot be read: ${errorSummary(error)}`, mend)];
  }
}

/** The text of the file, or of all files in the folder except the agent's. */
async function readOwnFiles(mainFile: string, file: string): Promise<string> {
  if (!(await stat(mainFile)).isDirectory()) return readFile(mainFile, 'utf8');
  const names = (await readdir(mainFile)).filter((name) => name.endsWith('.cfg') && name !== basename(file));
  return (await Promise.all(names.sort().map((name) => readFile(join(mainFile, name), 'utf8')))).join('\n');
}

/** Checks that the admin socket answers and that this HAProxy runs the generated configuration. */
export async function checkHaproxySocket(input: DoctorInput): Promise<Finding[]> {
  const { socket, masterSocket } = input.config.haproxy;
  const client = createRuntimeClient({ socket, masterSocket, timeoutMs: 3_000 });
  try {
    const info = await readWorker(client);
    const problem = client.problem();
    const answers =
      problem === null
        ? ok('HAProxy socket', `${socket} answers, version ${info.version}, pid ${info.pid}`)
        : warn('HAProxy socket', problem, `\`systemctl restart haproxy\`; until then: ${masterSocket}`);
    const level = await checkLevel(client, socket);
    const running = info.description.startsWith('acgs-lb:')
      ? await checkRunning(input, info.description)
      : notLoaded(input.config.haproxy);
    return [answers, ...level, running];
  } catch (error) {
    return [fail('HAProxy socket', errorSummary(error), socketMend(error, socket))];
  } finally {
    client.close();
  }
}

/** A socket without level admin answers, but refuses every command that changes a server. */
async function checkLevel(client: RuntimeClient, socket: string): Promise<Finding[]> {
  const level = await client.execute('show cli level');
  if (level === 'admin') return [];
  const mend = `change the line in the section global of HAProxy's configuration to: stats socket ${socket} mode 660 group haproxy level admin expose-fd listeners`;
  return [fail('HAProxy socket level', `${socket} has level ${level}; the agent needs admin`, mend)];
}

function notLoaded({ mode, file, mainFile }: DoctorInput['config']['haproxy']): Finding {
  const mend =
    mode === 'whole'
      ? 'write the configuration with `acgs-lb render --install` and reload HAProxy, or correct haproxy.socket'
      : `write it with \`acgs-lb render --install\`, then start HAProxy with -f ${mainFile} -f ${file}, or make ${mainFile} a folder with both files and reload HAProxy (docs/beside.md)`;
  const detail = mode === 'whole' ? 'a configuration that acgs-lb did not write' : `without ${file}`;
  return fail('HAProxy runs', detail, mend);
}

/** Compares the `description` of the running HAProxy with the file. They differ after a missed or rejected reload. */
async function checkRunning({ config }: DoctorInput, running: string): Promise<Finding> {
  const { file } = config.haproxy;
  try {
    const written = /^\s*(?:description|backend) (acgs-lb:\S+)/m.exec(await readFile(file, 'utf8'))?.[1];
    if (written === running) return ok('HAProxy runs', `the configuration in ${file}`);
    const mend =
      'a running agent reloads HAProxy within seconds; else see its log for a rejected reload, or run `systemctl reload haproxy`';
    return warn('HAProxy runs', `an older configuration than ${file}`, mend);
  } catch (error) {
    return skip('HAProxy runs', `${file} cannot be read: ${errorSummary(error)}`);
  }
}

function socketMend(error: unknown, socket: string): string {
  const text = errorSummary(error);
  if (/EACCES/.test(text)) return `give the agent's user the group that owns ${socket} (Debian: haproxy)`;
  if (/ENOENT|ECONNREFUSED/.test(text))
    return 'start HAProxy (`systemctl start haproxy`), or correct haproxy.socket in acgs-lb.yaml';
  return 'HAProxy runs but does not answer; see its log';
}

/** Checks that each gateway in site.gateways is reachable from this host. */
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
          'set site.gateways to the address of HAProxy (haproxy.bind), with a name that the edge can resolve',
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
    if (status === 200) return ok('HAProxy stats', `http://${host}/stats accepts user ${user}`);
    return fail(
      'HAProxy stats',
      `http://${host}/stats answers ${status}`,
      'HAPROXY_STATS_USER and HAPROXY_STATS_PASSWORD differ from the running configuration; restart the agent',
    );
  } catch (error) {
    return fail(
      'HAProxy stats',
      `${host}: ${errorSummary(error)}`,
      'start HAProxy, or correct haproxy.stats',
    );
  }
}
