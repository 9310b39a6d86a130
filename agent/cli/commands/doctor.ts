import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../../shared/config/config.ts';
import { resolveConfigPath } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import type { Finding } from '../doctor/finding.ts';
import { CliUsageError } from '../errors.ts';
import { plural } from '../format.ts';
import type { ReportProgress } from '../progress.ts';
import { wrapText } from '../terminal.ts';

interface DoctorOptions {
  config?: string;
  envFile?: string;
}

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check everything that is often wrong, and say how to mend it')
    .option('-c, --config <file>', "the configuration (default: the running stack's, else as check)")
    .option('--env-file <file>', 'the environment of the agent, such as /etc/acgs-lb/agent.env')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb doctor\n  acgs-lb doctor --config /etc/acgs-lb/acgs-lb.yaml --env-file /etc/acgs-lb/agent.env',
    )
    .action(async (options: DoctorOptions, command: Command) => {
      const context = contextOf(command);
      const { stateDir = process.env.ACGS_STATE_DIR ?? '.acgs' } = command.optsWithGlobals<{
        stateDir?: string;
      }>();
      const findings = await context.progress((tell) => examine(stateDir, options, tell));
      context.print(findings, () => findingsText(findings, context));
      if (findings.some(({ state }) => state === 'fail')) process.exitCode = 1;
    });
}

async function examine(stateDir: string, options: DoctorOptions, tell: ReportProgress): Promise<Finding[]> {
  const { fail, ok, skip } = await import('../doctor/finding.ts');
  const { loadAgentEnvironment } = await import('../doctor/input.ts');
  const { loadConfigFile } = await import('../config-file.ts');
  const { env, stack } = await loadAgentEnvironment({
    stateDir,
    envFile: options.envFile,
    env: process.env,
  });
  const own = join(stateDir, 'acgs-lb.yaml');
  const configFile = resolveConfigPath(options.config, stack ? [own] : []);
  const { checkNode } = await import('../doctor/host.ts');
  let config: Config;
  try {
    config = await loadConfigFile(configFile);
  } catch (error) {
    if (!(error instanceof CliUsageError)) throw error;
    return [
      checkNode(),
      ...error.message
        .split('\n')
        .map((line) => fail('configuration', line, 'mend the line, then acgs-lb check')),
    ];
  }
  const facts = { stateDir, stack, configFile, config, env, fetch: globalThis.fetch, now: Date.now };
  const found = stack || env.ACGS_AGENT_URL ? [] : [skip('stack', `none runs from ${stateDir}/ (npm start)`)];
  return [checkNode(), ...found, ok('configuration', configFile), ...(await examineAll(facts, tell))];
}

async function examineAll(
  facts: import('../doctor/input.ts').DoctorInput,
  tell: ReportProgress,
): Promise<Finding[]> {
  const [host, haproxy, stores, agent, edge, kv, { packageVersion }] = await Promise.all([
    import('../doctor/host.ts'),
    import('../doctor/haproxy.ts'),
    import('../doctor/stores.ts'),
    import('../doctor/agent.ts'),
    import('../doctor/edge.ts'),
    import('../doctor/kv.ts'),
    import('../../lib/version.ts'),
  ]);
  const { env, stack, config } = facts;
  const url =
    env.ACGS_AGENT_URL ??
    stack?.agent ??
    `http://${config.agent.bind.replace(/^(\*|0\.0\.0\.0)?:/, '127.0.0.1:')}`;
  const token = env.ACGS_TOKEN ?? stack?.adminToken ?? null;
  const looked = agent.checkAgent({ url, token, stack }, packageVersion());
  const checks = [
    host.checkEnvironment(facts),
    host.checkStateDir(facts),
    host.checkHaproxyVersion(),
    haproxy.checkHaproxyConfig(facts),
    haproxy.checkHaproxySocket(facts),
    haproxy.checkStatsPage(facts),
    haproxy.checkGateways(facts),
    stores.checkRedis(facts),
    stores.checkPostgres(facts),
    looked.then(({ findings }) => findings),
    looked.then(({ status }) => edge.checkEdge(facts, status)),
    kv.checkKv(facts),
  ];
  let done = 0;
  const groups = await Promise.all(
    checks.map(async (check) => {
      const found = await check;
      tell('checking', ++done, checks.length);
      return found;
    }),
  );
  return groups.flat();
}

const MARKS = { ok: ['✓', 'green'], warn: ['!', 'yellow'], fail: ['✗', 'red'], skip: ['–', 'dim'] } as const;

function findingsText(findings: readonly Finding[], { terminal }: CommandContext): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map(({ name, state, detail, mend }) => {
    const [mark, style] = MARKS[state];
    const indent = width + 4;
    const below = `\n${' '.repeat(indent)}`;
    const told = detail
      .split('\n')
      .map((line) => wrapText(line, indent, terminal))
      .join(below);
    const advice = mend
      ? `${below}${terminal.paint('bold', '→')} ${wrapText(mend, indent + 2, terminal)}`
      : '';
    return `${terminal.paint(style, mark)} ${name.padEnd(width)}  ${state === 'skip' ? terminal.paint('dim', told) : told}${advice}`;
  });
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length;
  const [failed, warned] = [count('fail'), count('warn')];
  const end =
    failed > 0
      ? terminal.paint(
          'red',
          `${plural(failed, 'thing')} to mend${warned > 0 ? `, ${plural(warned, 'warning')}` : ''}`,
        )
      : warned > 0
        ? terminal.paint('yellow', `nothing is broken, ${plural(warned, 'warning')}`)
        : terminal.paint('green', 'all is well');
  return `${lines.join('\n')}\n\n${end}`;
}
