import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../../shared/config/config.ts';
import { resolveConfigPath, STACK_CONFIG_DESCRIPTION } from '../config-path.ts';
import { contextOf } from '../context.ts';
import type { Finding } from '../doctor/finding.ts';
import { findingsText } from '../doctor/findings-text.ts';
import { CliUsageError } from '../errors.ts';
import type { ReportProgress } from '../progress.ts';

interface DoctorOptions {
  config?: string;
  envFile?: string;
}

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check the installation and show how to fix each problem')
    .option('-c, --config <file>', STACK_CONFIG_DESCRIPTION)
    .option('--env-file <file>', 'environment file of the agent, for example /etc/acgs-lb/agent.env')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb doctor\n  acgs-lb doctor --config /etc/acgs-lb/acgs-lb.yaml \\\n    --env-file /etc/acgs-lb/agent.env',
    )
    .action(async (options: DoctorOptions, command: Command) => {
      const context = contextOf(command);
      const { stateDir = process.env.ACGS_STATE_DIR ?? '.acgs' } = command.optsWithGlobals<{
        stateDir?: string;
      }>();
      const findings = await context.progress((report) => runChecks(stateDir, options, report));
      context.print(findings, () => findingsText(findings, context.terminal));
      if (findings.some(({ state }) => state === 'fail')) process.exitCode = 1;
    });
}

async function runChecks(
  stateDir: string,
  options: DoctorOptions,
  report: ReportProgress,
): Promise<Finding[]> {
  const { fail, ok, skip } = await import('../doctor/finding.ts');
  const { loadAgentEnvironment } = await import('../doctor/input.ts');
  const { loadConfigFile } = await import('../config-file.ts');
  const { env, stack } = await loadAgentEnvironment({
    stateDir,
    envFile: options.envFile,
    env: process.env,
  });
  const stackConfig = join(stateDir, 'acgs-lb.yaml');
  const configFile = resolveConfigPath(options.config, stack ? [stackConfig] : []);
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
        .map((line) => fail('configuration', line, 'correct it, then run `acgs-lb check`')),
    ];
  }
  const input = { stateDir, stack, configFile, config, env, fetch: globalThis.fetch, now: Date.now };
  const noStack =
    stack || env.ACGS_AGENT_URL
      ? []
      : [skip('stack', `no stack runs with state folder ${stateDir}/ (start one with npm start)`)];
  return [checkNode(), ...noStack, ok('configuration', configFile), ...(await runAllChecks(input, report))];
}

async function runAllChecks(
  input: import('../doctor/input.ts').DoctorInput,
  report: ReportProgress,
): Promise<Finding[]> {
  const [host, haproxy, stores, agent, edge, cloudflare, kv, { packageVersion }] = await Promise.all([
    import('../doctor/host.ts'),
    import('../doctor/haproxy.ts'),
    import('../doctor/stores.ts'),
    import('../doctor/agent.ts'),
    import('../doctor/edge.ts'),
    import('../doctor/cloudflare.ts'),
    import('../doctor/kv.ts'),
    import('../../lib/version.ts'),
  ]);
  const { env, stack, config } = input;
  const url =
    env.ACGS_AGENT_URL ??
    stack?.agent ??
    `http://${config.agent.bind.replace(/^(\*|0\.0\.0\.0)?:/, '127.0.0.1:')}`;
  const token = env.ACGS_TOKEN ?? stack?.adminToken ?? null;
  const agentCheck = agent.checkAgent({ url, token }, packageVersion());
  const checks = [
    host.checkEnvironment(input),
    host.checkStateDir(input),
    host.checkHaproxyVersion(),
    haproxy.checkHaproxyConfig(input),
    haproxy.checkOwnFile(input),
    haproxy.checkHaproxySocket(input),
    haproxy.checkStatsPage(input),
    haproxy.checkGateways(input),
    stores.checkRedis(input),
    stores.checkPostgres(input),
    agentCheck.then(({ findings }) => findings),
    agentCheck.then(({ status }) => edge.checkEdge(input, status)),
    cloudflare.checkDeployment(input),
    kv.checkKv(input),
  ];
  let done = 0;
  const groups = await Promise.all(
    checks.map(async (check) => {
      const found = await check;
      report('checking', ++done, checks.length);
      return found;
    }),
  );
  return groups.flat();
}
