import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { Misuse } from '../errors.ts';

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('judge a configuration: every mistake at once, each with its place')
    .option('-c, --config <file>', 'the configuration', 'acgs-lb.yaml')
    .addHelpText('after', '\nExample:\n  acgs-lb check --config /etc/acgs-lb/acgs-lb.yaml')
    .action(async (options: { config: string }, command: Command) => {
      const context = contextOf(command);
      const { loadConfigFile } = await import('../config-file.ts');
      try {
        const config = await loadConfigFile(options.config);
        const services = Object.values(config.services);
        const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
        const verdict = { ok: true, file: options.config, services: services.length, instances };
        context.print(
          verdict,
          () => `${options.config} is good: ${services.length} services, ${instances} instances`,
        );
      } catch (error) {
        if (!context.json || !(error instanceof Misuse)) throw error;
        context.print({ ok: false, file: options.config, problems: error.message.split('\n') }, () => '');
        process.exitCode = 2;
      }
    });
}
