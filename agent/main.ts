import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ConfigError, parseConfig } from '../shared/config/load.ts';
import { type Agent, startAgent } from './agent.ts';
import { EnvironmentError, readEnvironment } from './env.ts';
import { createLog, type Log } from './lib/log.ts';
import { makeFolder } from './lib/make-folder.ts';
import { createSystemd, type Systemd } from './lib/systemd.ts';
import { packageVersion } from './lib/version.ts';

const USAGE = `usage: node agent/main.ts --config FILE [--state-dir DIR]

  --config FILE     the operator's file (default: acgs-lb.yaml)
  --state-dir DIR   where the agent keeps what must survive a restart (default: .acgs)

Secrets come from the environment. SIGHUP reads the file again, SIGTERM ends the agent.`;

/** Wrong use: told in plain lines, exit 2. */
class AgentUsageError extends Error {}

function options(): { config: string; stateDir: string } {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string', default: 'acgs-lb.yaml' },
        'state-dir': { type: 'string', default: '.acgs' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    return { config: values.config, stateDir: values['state-dir'] };
  } catch (error) {
    throw new AgentUsageError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new AgentUsageError(`--config ${path}: cannot be read (${error.code})`);
  });
}

function requireFolder(path: string): void {
  try {
    makeFolder(path, 0o700);
    accessSync(path, constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new AgentUsageError(`--state-dir ${path || '""'}: cannot be used as a folder (${code})`);
  }
}

async function main(): Promise<void> {
  const { config: path, stateDir } = options();
  const config = parseConfig(await readText(path), path);
  const env = readEnvironment(process.env, config);
  const log = createLog(config.logging.level);
  // Until the agent runs there is nothing to reload, and without a handler the signal would end the process.
  const early = () => log.warn('SIGHUP while starting: send it again once the agent runs');
  process.on('SIGHUP', early);
  requireFolder(stateDir);
  const agent = await startAgent({
    ...{ config, configPath: path, env, stateDir, log },
    checkEnvironment: (next) => void readEnvironment(process.env, next),
    version: packageVersion(),
  });
  const systemd = createSystemd();
  systemd.ready();
  // In this order: a signal that comes in between is not lost.
  obeySignals(agent, path, log, systemd);
  process.off('SIGHUP', early);
}

function obeySignals(agent: Agent, path: string, log: Log, systemd: Systemd): void {
  let ending = false;
  const end = (signal: string) => {
    if (ending) return;
    ending = true;
    log.info({ signal }, 'agent ends');
    systemd.stopping();
    agent.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'agent did not end cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('SIGHUP', () => {
    readText(path)
      .then((text) => agent.reload(text))
      .then(({ changes }) => log.info({ changes: changes.length }, 'configuration read again'))
      .catch((error: Error) =>
        log.error({ problems: error.message.split('\n') }, 'configuration refused, the old one stays'),
      );
  });
}

main().catch((error: unknown) => {
  const expected =
    error instanceof ConfigError || error instanceof EnvironmentError || error instanceof AgentUsageError;
  console.error(
    error instanceof Error ? (expected ? error.message : `acgs-lb agent: ${error.message}`) : String(error),
  );
  process.exit(expected ? 2 : 1);
});
