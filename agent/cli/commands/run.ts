import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CommandFailed } from '../errors.ts';

export function registerRun(program: Command): void {
  program
    .command('agent')
    .description('run the agent in the foreground until SIGTERM or Ctrl-C')
    .option('-c, --config <file>', 'configuration file', 'acgs-lb.yaml')
    .option('--watch-config', 'reload the configuration file when it changes; an invalid one changes nothing')
    .addHelpText(
      'after',
      '\nSecrets and URLs come from the environment. SIGHUP reloads the configuration.\n\nExample:\n  acgs-lb agent --config /etc/acgs-lb/acgs-lb.yaml --state-dir /var/lib/acgs-lb',
    )
    .action(async (options: { config: string; watchConfig?: true }, command: Command) => {
      const { stateDir = process.env.ACGS_STATE_DIR } = command.optsWithGlobals<{ stateDir?: string }>();
      const [node = process.execPath, script = ''] = process.argv;
      const stateDirArgs = stateDir ? ['--state-dir', stateDir] : [];
      process.argv = [node, script, '--config', options.config, ...stateDirArgs];
      if (options.watchConfig) process.argv.push('--watch-config');
      // The agent runs in this process, so that signals, notifications and limits of systemd apply to it.
      await import('../../main.ts');
    });
  program
    .command('up')
    .description('run the whole system on this machine, as `npm start`; needs a checkout')
    .argument('[options...]', 'options of `npm start`')
    .allowUnknownOption()
    .helpOption(false)
    .addHelpText('after', '\nExample:\n  acgs-lb up --port-offset 100')
    .action(async (options: string[], _unused: unknown, command: Command) => {
      const { stateDir } = command.optsWithGlobals<{ stateDir?: string }>();
      const script = fileURLToPath(new URL('../../../dev/start.mjs', import.meta.url));
      if (!existsSync(script)) {
        throw new CommandFailed('acgs-lb up needs a checkout of the repository; here run `acgs-lb agent`');
      }
      const child = spawn(
        process.execPath,
        [script, ...(stateDir ? ['--state-dir', stateDir] : []), ...options],
        {
          stdio: 'inherit',
        },
      );
      const forward = (signal: NodeJS.Signals) => child.kill(signal);
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, forward);
      process.exitCode = await new Promise<number>((resolve) =>
        child.once('exit', (code) => resolve(code ?? 1)),
      );
    });
}
