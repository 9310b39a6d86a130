import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { configChangesSchema } from '../../http/schemas.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { contextOf } from '../context.ts';
import { parseResponse } from '../response-schemas.ts';
import { wrapText } from '../terminal.ts';

export function registerApply(program: Command): void {
  program
    .command('apply')
    .description('give the running agent a new configuration: shows what would change, asks, then does it')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--dry-run', 'only show what would change')
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
          'answer',
        );
      };
      const wanted = await put('?dryRun=true');
      const list = wanted.changes.map((change) => `  ${wrapText(change, 4, context.terminal)}`).join('\n');
      if (options.dryRun || wanted.changes.length === 0) {
        context.print(wanted, () => (list ? `would change\n${list}` : 'nothing would change'));
        return;
      }
      if (!context.json) context.terminal.write(`would change\n${list}`);
      await context.confirm('Apply?');
      context.print(await put(''), ({ saved, note }) =>
        [`done${saved ? ', and saved' : ''}`, ...(note ? [note] : [])].join('; '),
      );
    });
}
