import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CommandFailed } from '../errors.ts';

/** agent and up: the programs themselves, started through the one command people know. */
export function registerRun(program: Command): void {
  program
    .command('agent')
    .description('run the agent in the foreground, until SIGTERM or Ctrl-C')
    .option('-c, --config <file>', 'the configuration', 'acgs-lb.yaml')
    .addHelpText(
      'after',
      '\nSecrets and URLs come from the environment. SIGHUP reads the configuration again.\n\nExample:\n  acgs-lb agent --config /etc/acgs-lb/acgs-lb.yaml --state-dir /var/lib/acgs-lb',
    )
    .action(async (options: { config: string }, command: Command) => {
      const { stateDir = process.env.ACGS_STATE_DIR } = command.optsWithGlobals<{ stateDir?: string }>();
      const [node = process.execPath, script = ''] = process.argv;
      const where = stateDir ? ['--state-dir', stateDir] : [];
      process.argv = [node, script, '--config', options.config, ...where];
      // In this very process: a supervisor's signals, notifications and limits meet the agent itself.
      await import('../../main.ts');
    });
  program
    .command('up')
    .description('the whole system on this machine, as `npm start`; needs a checkout')
    .argument('[options...]', 'as `npm start -- …` takes them')
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
      const pass = (signal: NodeJS.Signals) => child.kill(signal);
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, pass);
      process.exitCode = await new Promise<number>((resolve) =>
        child.once('exit', (code) => resolve(code ?? 1)),
      );
    });
}
