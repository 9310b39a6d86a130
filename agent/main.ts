import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { ConfigError, parseConfig } from '../shared/config/load.ts';
import { errorMessage } from '../shared/error-message.ts';
import { type Agent, startAgent } from './agent.ts';
import { watchFile } from './configuration/watch.ts';
import { EnvironmentError, readEnvironment } from './env.ts';
import { createLog, type Log } from './lib/log.ts';
import { makeFolder } from './lib/make-folder.ts';
import { createSystemd, type Systemd } from './lib/systemd.ts';
import { packageVersion } from './lib/version.ts';

const USAGE = `usage: node agent/main.ts --config FILE [--state-dir DIR] [--watch-config]

  --config FILE     configuration file (default: acgs-lb.yaml)
  --state-dir DIR   folder for state that must survive a restart (default: .acgs)
  --watch-config    reload the configuration file when it changes

Secrets come from the environment. SIGHUP reloads the configuration file, SIGTERM stops the agent.`;

/** Wrong command-line arguments: printed without a stack, exit code 2. */
class AgentUsageError extends Error {}

function parseOptions(): { configPath: string; stateDir: string; watchConfig: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string', default: 'acgs-lb.yaml' },
        'state-dir': { type: 'string', default: '.acgs' },
        'watch-config': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    return {
      configPath: values.config,
      stateDir: values['state-dir'],
      watchConfig: values['watch-config'],
    };
  } catch (error) {
    throw new AgentUsageError(`${errorMessage(error)}\n\n${USAGE}`);
  }
}

async function readConfigText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new AgentUsageError(`--config ${path}: cannot be read (${error.code})`);
  });
}

function requireWritableFolder(path: string): void {
  try {
    makeFolder(path, 0o700);
    accessSync(path, constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AgentUsageError(`--state-dir ${path || '""'}: cannot be used as a folder (${code})`);
  }
}

async function main(): Promise<void> {
  const { configPath, stateDir, watchConfig } = parseOptions();
  const configText = await readConfigText(configPath);
  const config = parseConfig(configText, configPath);
  const env = readEnvironment(process.env, config);
  const log = createLog(config.logging.level);
  // Without a handler, SIGHUP would end the process. The agent cannot reload before it has started.
  const ignoreHangup = () => log.warn('SIGHUP ignored while starting; send it again after the start');
  process.on('SIGHUP', ignoreHangup);
  requireWritableFolder(stateDir);
  const agent = await startAgent({
    config,
    configText,
    configPath,
    env,
    stateDir,
    log,
    checkEnvironment: (next) => void readEnvironment(process.env, next),
    version: packageVersion(),
  });
  const systemd = createSystemd();
  systemd.ready();
  // The new handlers come first, so that no signal is lost.
  handleSignals(agent, configPath, log, systemd);
  process.off('SIGHUP', ignoreHangup);
  // Node would write it only at a clean exit. Without it, a checkout loads the TypeScript compiler, which takes 18 MiB.
  flushCompileCache();
  if (!watchConfig) return;
  watchFile({
    text: configText,
    read: () => readConfigText(configPath),
    onChange: (text) => reload(agent, text, log),
    onUnreadable: (reason) => log.warn({ reason }, 'configuration file not readable; it stays watched'),
  });
}

/** Never rejects. */
async function reload(agent: Agent, text: string, log: Log): Promise<void> {
  try {
    const { changes } = await agent.reload(text);
    log.info({ changes: changes.length }, 'configuration reloaded');
  } catch (error) {
    const problems = errorMessage(error).split('\n');
    log.error({ problems }, 'configuration refused; the old one stays in effect');
  }
}

function handleSignals(agent: Agent, configPath: string, log: Log, systemd: Systemd): void {
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'agent stopping');
    systemd.stopping();
    agent.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'agent did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => {
    readConfigText(configPath).then(
      (text) => reload(agent, text, log),
      (error: unknown) => log.error({ problems: [errorMessage(error)] }, 'configuration file not readable'),
    );
  });
}

main().catch((error: unknown) => {
  const expected =
    error instanceof ConfigError || error instanceof EnvironmentError || error instanceof AgentUsageError;
  console.error(`${expected ? '' : 'acgs-lb agent: '}${errorMessage(error)}`);
  process.exit(expected ? 2 : 1);
});
