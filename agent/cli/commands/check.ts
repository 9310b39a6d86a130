import type { Command } from 'commander';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { plural } from '../format.ts';

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('validate a configuration and list all errors with their positions')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .addHelpText('after', '\nExample:\n  acgs-lb check --config /etc/acgs-lb/acgs-lb.yaml')
    .action(async (options: { config?: string }, command: Command) => {
      const context = contextOf(command);
      const { loadConfigFile } = await import('../config-file.ts');
      const file = resolveConfigPath(options.config);
      try {
        const config = await loadConfigFile(file);
        const services = Object.values(config.services);
        const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
        const result = { ok: true, file, services: services.length, instances };
        context.print(
          result,
          () => `${file} is valid: ${plural(services.length, 'service')}, ${plural(instances, 'instance')}`,
        );
      } catch (error) {
        if (!context.json || !(error instanceof CliUsageError)) throw error;
        context.print({ ok: false, file, problems: error.message.split('\n') }, () => '');
        process.exitCode = 2;
      }
    });
}
