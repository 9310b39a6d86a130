import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { configChangesSchema } from '../../http/schemas.ts';
import { parseResponse } from '../client.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { wrapText } from '../terminal.ts';

export function registerApply(program: Command): void {
  program
    .command('apply')
    .description('apply a configuration to the running agent: show the changes, ask, then apply')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--dry-run', 'only show the changes')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb apply --dry-run\n  acgs-lb apply --config acgs-lb.yaml --yes',
    )
    .action(async (options: { config?: string; dryRun?: boolean }, command: Command) => {
      const context = contextOf(command);
      const { loadConfigFile } = await import('../config-file.ts');
      const file = resolveConfigPath(options.config);
      await loadConfigFile(file);
      const text = await readFile(file, 'utf8');
      const client = await context.client();
      const put = async (query: string) => {
        const init = { method: 'PUT', body: text, headers: { 'content-type': 'application/yaml' } };
        return parseResponse(
          configChangesSchema,
          await (await client.open(`/v1/config${query}`, init)).json(),
          `PUT /v1/config${query}`,
        );
      };
      const preview = await put('?dryRun=true');
      const list = preview.changes.map((change) => `  ${wrapText(change, 4, context.terminal)}`).join('\n');
      if (options.dryRun || preview.changes.length === 0) {
        context.print(preview, () => (list ? `changes\n${list}` : 'no changes'));
        return;
      }
      if (!context.json) context.terminal.write(`changes\n${list}`);
      await context.confirm('Apply?');
      context.print(await put(''), ({ saved, note }) =>
        [`applied${saved ? ' and saved' : ''}`, ...(note ? [note] : [])].join('; '),
      );
    });
}
