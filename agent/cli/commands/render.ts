import type { Command } from 'commander';
import { errorMessage } from '../../../shared/error-message.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

interface RenderOptions {
  config?: string;
  install?: boolean;
  all?: boolean;
}

export function registerRender(program: Command): void {
  program
    .command('render')
    .description('print or install the HAProxy configuration that acgs-lb.yaml generates')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--all', 'include the files beside it: route maps, error pages, public keys')
    .option('--install', 'check it with `haproxy -c`, then write it to haproxy.file (asks first)')
    .addHelpText(
      'after',
      '\nThe password of the statistics page and the public keys of the edge come from\nthe environment, as for the agent.\n\nExamples:\n  acgs-lb render > /tmp/haproxy.cfg\n  acgs-lb render --config /etc/acgs-lb/acgs-lb.yaml --install --yes',
    )
    .action(async (options: RenderOptions, command: Command) => {
      const context = contextOf(command);
      const { loadConfigFile } = await import('../config-file.ts');
      const { haproxyInput } = await import('../haproxy-input.ts');
      const config = await loadConfigFile(resolveConfigPath(options.config));
      const input = haproxyInput(config);
      if (options.install && input.production && !process.env.HAPROXY_STATS_PASSWORD) {
        throw new CliUsageError(
          'HAPROXY_STATS_PASSWORD is not set; production requires a password for the statistics page',
        );
      }
      if (options.install) {
        const { installHaproxyConfig } = await import('../../haproxy/render/install.ts');
        await context.confirm(`Write ${config.haproxy.file}?`);
        const { changed, files } = await context.progress((report) => {
          report('checking with haproxy -c');
          return installHaproxyConfig(input).catch(fail);
        });
        const paths = files.map(({ path }) => path);
        context.print({ changed, files: paths }, () =>
          changed ? `wrote\n  ${paths.join('\n  ')}` : `${config.haproxy.file} is already current`,
        );
        return;
      }
      const { renderHaproxyConfig } = await import('../../haproxy/render/render.ts');
      const files = renderHaproxyConfig(input);
      const shown = options.all ? files : files.slice(0, 1);
      context.print(files, () =>
        shown
          .map(({ path, content }) => (options.all ? `# ==> ${path} <==\n${content}` : content))
          .join('\n'),
      );
    });
}

function fail(cause: unknown): never {
  throw new CommandFailed(errorMessage(cause), { cause });
}
