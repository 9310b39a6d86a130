import type { Command } from 'commander';
import type { Config } from '../../../shared/config/config.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { plural } from '../format.ts';

interface CheckOptions {
  config?: string;
  haproxy: boolean;
}

/** What `haproxy -c` says about the generated configuration. */
type HaproxyResult = 'accepted' | 'not installed' | 'skipped';

const HAPROXY_TEXT: Readonly<Record<HaproxyResult, string>> = {
  accepted: 'HAProxy accepts the generated configuration',
  'not installed': 'haproxy is not installed here: the generated configuration was not checked with it',
  skipped: 'the generated configuration was not checked with haproxy',
};

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('validate a configuration, also with `haproxy -c`, and list all errors with positions')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--no-haproxy', 'do not run `haproxy -c`')
    .addHelpText(
      'after',
      '\nHAProxy reads the files that the configuration names, such as certificates. Without access\nto them, use --no-haproxy.\n\nExample:\n  acgs-lb check --config /etc/acgs-lb/acgs-lb.yaml',
    )
    .action(async (options: CheckOptions, command: Command) => {
      const context = contextOf(command);
      const { loadConfigFile } = await import('../config-file.ts');
      const file = resolveConfigPath(options.config);
      try {
        const config = await loadConfigFile(file);
        const haproxy = options.haproxy ? await checkWithHaproxy(config) : 'skipped';
        const services = Object.values(config.services);
        const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
        context.print(
          { ok: true, file, services: services.length, instances, haproxy },
          () =>
            `${file} is valid: ${plural(services.length, 'service')}, ${plural(instances, 'instance')}\n${HAPROXY_TEXT[haproxy]}`,
        );
      } catch (error) {
        if (!context.json || !(error instanceof CliUsageError)) throw error;
        context.print({ ok: false, file, problems: error.message.split('\n') }, () => '');
        process.exitCode = 2;
      }
    });
}

/** Throws CliUsageError when HAProxy rejects the generated configuration. */
async function checkWithHaproxy(config: Config): Promise<HaproxyResult> {
  const [{ HaproxyConfigError, HaproxyNotInstalled, validateHaproxyConfig }, { haproxyInput }] =
    await Promise.all([import('../../haproxy/render/install.ts'), import('../haproxy-input.ts')]);
  try {
    await validateHaproxyConfig(haproxyInput(config));
    return 'accepted';
  } catch (error) {
    if (error instanceof HaproxyNotInstalled) return 'not installed';
    if (error instanceof HaproxyConfigError) throw new CliUsageError(error.message, { cause: error });
    throw error;
  }
}
